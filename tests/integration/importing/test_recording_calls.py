"""The recording calls of the API, with a real database behind them."""

import dataclasses
import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode
from xml.etree.ElementTree import Element

import pytest
from defusedxml.ElementTree import fromstring
from flask import Flask
from flask.testing import FlaskClient
from psycopg.types.json import Jsonb

from balancer.importing.importer import Importer
from balancer.settings import Settings
from balancer.storage.postgresql.database import Connection
from balancer.web.app import create_app
from balancer.web.services import of
from tests import archives
from tests.archives import OTHER_ID, RECORD_ID

SECRET = "0123456789abcdef"
API = "/bigbluebutton/api"


@pytest.fixture
def app(settings: Settings, tmp_path: Path, rows: Connection) -> Iterator[Flask]:
    # What a worker finds that starts before it has reached PostgreSQL: it can answer from the first request on.
    registry = {"version": 1, "nodes": [], "tenants": [{"id": 1, "name": "default"}]}
    (tmp_path / "registry.json").write_text(json.dumps(registry))
    app = create_app(dataclasses.replace(settings, state_directory=tmp_path))
    of(app).open()
    yield app
    of(app).close()


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


class BBB:
    """A front end: signs with code of its own, and reads the answer's XML."""

    def __init__(self, client: FlaskClient) -> None:
        self._client = client

    def raw(self, call: str, method: str = "GET", **parameters: str) -> str:
        query = urlencode(parameters)
        checksum = hashlib.sha256(f"{call}{query}{SECRET}".encode()).hexdigest()
        answer = self._client.open(f"{API}/{call}?{query}&checksum={checksum}", method=method)
        assert answer.status_code == 200
        return answer.text

    def call(self, call: str, method: str = "GET", **parameters: str) -> Element:
        return fromstring(self.raw(call, method, **parameters))

    def ids(self, **parameters: str) -> list[str]:
        return [each.text or "" for each in self.call("getRecordings", **parameters).iter("recordID")]


@pytest.fixture
def bbb(client: FlaskClient) -> BBB:
    return BBB(client)


Add = Callable[..., str]


@pytest.fixture
def add(rows: Connection) -> Add:
    """Insert a recording without files; start_ms decides the order."""
    numbers = iter(range(1, 1000))

    def insert(record_id: str | None = None, *, tenant: str = "default", metadata: Any = None, **columns: Any) -> str:
        number = next(numbers)
        values = {
            "record_id": record_id or f"{number:040x}-{1757000000000 + number}",
            "meeting_id": "room",
            "name": "Room",
            "state": "published",
            "start_ms": number,
            "imported_metadata": Jsonb(metadata or {}),
        } | columns
        rows.execute("INSERT INTO tenants (name) VALUES (%s) ON CONFLICT DO NOTHING", [tenant])
        names = ", ".join(values)
        rows.execute(
            f"INSERT INTO recordings (tenant_id, {names}) VALUES ((SELECT id FROM tenants WHERE name = %s),"  # noqa: S608
            f" {', '.join(['%s'] * len(values))})".encode(),
            [tenant, *values.values()],
        )
        return str(values["record_id"])

    return insert


def key(answer: Element) -> str | None:
    return answer.findtext("messageKey")


def test_the_whole_answer_is_bbbs(share: Path, importer: Importer, bbb: BBB) -> None:
    archives.write(share / "spool" / "a.tar", archives.presentation() | archives.video())
    importer.run_once()
    origin = "https://bbb.example.org"
    thumbnail = f"{origin}/presentation/{RECORD_ID}/presentation/d2d9-1/thumbnails/thumb-1.png"
    assert bbb.raw("getRecordings") == (
        "<response><returncode>SUCCESS</returncode><recordings><recording>"
        f"<recordID>{RECORD_ID}</recordID><meetingID>course-77</meetingID>"
        f"<internalMeetingID>{RECORD_ID}</internalMeetingID><name>Algebra</name><isBreakout>false</isBreakout>"
        "<published>true</published><state>published</state><startTime>1757000000140</startTime>"
        "<endTime>1757003600900</endTime><participants>7</participants><rawSize>91237554</rawSize>"
        "<metadata><isBreakout>false</isBreakout><meetingId>course-77</meetingId><meetingName>Algebra</meetingName>"
        "<bbb-origin>moodle</bbb-origin></metadata>"
        f"<size>{4100000 + 1500 + len(archives.video_xml())}</size><playback>"
        f"<format><type>presentation</type><url>{origin}/playback/presentation/2.3/{RECORD_ID}</url>"
        "<processingTime>31442</processingTime><length>60</length><size>4100000</size>"
        f'<preview><images><image width="176" height="136" alt="Slide one">{thumbnail}</image></images></preview>'
        f"</format><format><type>video</type><url>{origin}/playback/video/{RECORD_ID}/</url>"
        f"<processingTime>900</processingTime><length>60</length><size>{1500 + len(archives.video_xml())}</size>"
        "</format></playback><data></data></recording></recordings></response>"
    )


def test_no_recordings(bbb: BBB) -> None:
    assert bbb.raw("getRecordings") == (
        "<response><returncode>SUCCESS</returncode><recordings></recordings><messageKey>noRecordings</messageKey>"
        "<message>There are no recordings for the meeting(s).</message></response>"
    )


def test_newest_first_by_get_and_post(bbb: BBB, add: Add) -> None:
    old, new = add(start_ms=10), add(start_ms=20)
    assert bbb.ids() == [new, old]
    assert [each.text for each in bbb.call("getRecordings", "POST").iter("recordID")] == [new, old]


def test_by_meeting_ids_with_blanks_and_a_trailing_comma(bbb: BBB, add: Add) -> None:
    wanted = [add(meeting_id="a"), add(meeting_id="b")]
    add(meeting_id="c")
    assert sorted(bbb.ids(meetingID="a, b,")) == sorted(wanted)
    assert bbb.ids(meetingID="A") == []


def test_by_record_id_prefixes(bbb: BBB, add: Add) -> None:
    one, two, other = add("aa0-1"), add("aa1-2"), add("bb-3")
    assert set(bbb.ids(recordID="aa")) == {one, two}
    assert set(bbb.ids(recordID="aa1-2,b")) == {two, other}
    # In BBB the recordID decides alone.
    assert bbb.ids(recordID="bb-3", meetingID="no such") == [other]


@pytest.mark.parametrize("record_id", ["%", "_", "zz", "../..", "aa0-1' OR 1=1", "AA"])
def test_a_record_id_that_cannot_be_one_matches_nothing(bbb: BBB, add: Add, record_id: str) -> None:
    add("aa0-1")
    assert bbb.ids(recordID=record_id) == []


def test_states(bbb: BBB, add: Add) -> None:
    published, unpublished, deleted = (add(state=state) for state in ("published", "unpublished", "deleted"))
    assert set(bbb.ids()) == {published, unpublished}
    assert bbb.ids(state="published") == [published]
    assert set(bbb.ids(state="unpublished,deleted")) == {unpublished, deleted}
    assert set(bbb.ids(state="any")) == {published, unpublished, deleted}
    assert bbb.ids(state="processing") == []


def test_meta_filters_are_all_to_match(bbb: BBB, add: Add) -> None:
    both = add(metadata={"course": "1", "school": "x"})
    add(metadata={"course": "1", "school": "y"})
    add(metadata={"school": "x"})
    assert bbb.ids(meta_course="1", meta_school="x") == [both]
    assert bbb.ids(meta_Course="1", meta_school="x") == [both]
    assert bbb.ids(meta_missing="") == []


@pytest.mark.parametrize(
    ("pattern", "matches"),
    [
        ("Alge%", True),
        ("%bra 50%", True),
        ("%lge%", True),
        ("%", True),
        ("lge", False),
        ("A_gebra%", False),
        ("%%", True),
    ],
)
def test_meta_wildcards_stand_at_the_ends_alone(bbb: BBB, add: Add, pattern: str, matches: bool) -> None:
    add(metadata={"meetingName": "Algebra 50"})
    assert bool(bbb.ids(meta_meetingName=pattern)) is matches


def test_pages(bbb: BBB, add: Add) -> None:
    ids = [add() for _ in range(5)][::-1]
    assert bbb.ids(offset="1", limit="2") == ids[1:3]
    answer = bbb.raw("getRecordings", offset="1", limit="2")
    assert answer.endswith(
        "</recordings><totalElements>5</totalElements><pagination><pageable><offset>1</offset><limit>2</limit>"
        "<paged>true</paged><unpaged>false</unpaged></pageable><totalElements>5</totalElements>"
        "<empty>false</empty></pagination></response>"
    )
    beyond = bbb.call("getRecordings", offset="99", limit="2")
    assert (key(beyond), beyond.findtext("totalElements")) == ("noRecordings", "5")


@pytest.mark.parametrize(
    ("parameters", "count"),
    [
        ({"limit": "0"}, 1),
        ({"limit": "-5"}, 1),
        ({"limit": "1000"}, 3),
        ({"limit": "two"}, 3),
        ({"limit": "2", "offset": "x"}, 2),
        ({"limit": "2", "offset": "-1"}, 2),
        ({"offset": "1"}, 3),
        ({"limit": "2", "offset": "9" * 30}, 2),
    ],
)
def test_odd_page_numbers_are_read_as_bbb_does(bbb: BBB, add: Add, parameters: dict[str, str], count: int) -> None:
    for _ in range(3):
        add()
    assert len(bbb.ids(**parameters)) == count


def test_text_that_xml_cannot_carry_never_breaks_the_answer(bbb: BBB, add: Add, rows: Connection) -> None:
    add(
        name="<b>&\ufffe\x01",
        meeting_id='"]]>',
        metadata={"a b": "no element name", "1st": "neither", "x:y": "nor this", "fine": "\x0b<&>", "": "empty"},
    )
    found = bbb.call("getRecordings").find("recordings/recording")
    assert found is not None
    metadata = found.find("metadata")
    assert metadata is not None
    assert [each.tag for each in metadata] == ["fine"]
    assert (found.findtext("name") or "").startswith("<b>&")
    assert found.findtext("meetingID") == '"]]>'


def test_breakout_rooms_and_their_parents(bbb: BBB, add: Add) -> None:
    add(
        is_breakout=True,
        breakout=Jsonb({"parentId": "p", "sequence": "1", "freeJoin": "true"}),
        breakout_rooms=["r1", "r2"],
    )
    answer = bbb.raw("getRecordings")
    assert "<isBreakout>true</isBreakout>" in answer
    assert (
        "</metadata><breakout><parentId>p</parentId><sequence>1</sequence><freeJoin>true</freeJoin></breakout>"
        "<breakoutRooms><breakoutRoom>r1</breakoutRoom><breakoutRoom>r2</breakoutRoom></breakoutRooms><size>" in answer
    )


def test_publishing_is_in_force_at_once(bbb: BBB, add: Add) -> None:
    record_id = add()
    assert "<published>false</published>" in bbb.raw("publishRecordings", recordID=record_id, publish="false")
    assert bbb.ids(state="unpublished") == [record_id]
    assert bbb.call("publishRecordings", recordID=record_id, publish="TRUE").findtext("published") == "TRUE"
    assert bbb.ids(state="published") == [record_id]


def test_one_known_id_is_enough(bbb: BBB, add: Add) -> None:
    record_id = add()
    assert bbb.call("deleteRecordings", recordID=f"{OTHER_ID},{record_id}").findtext("deleted") == "true"
    assert bbb.ids() == []


@pytest.mark.parametrize("comma", [",", "%2C"])
def test_a_list_of_ids_may_be_encoded_twice_and_end_in_a_comma(bbb: BBB, add: Add, comma: str) -> None:
    new, old = add(start_ms=20), add(start_ms=10)
    named = f"{new}{comma}{old}{comma}"
    assert bbb.ids(recordID=named) == [new, old]
    assert bbb.call("publishRecordings", recordID=named, publish="false").findtext("published") == "false"
    assert bbb.ids(state="unpublished") == [new, old]
    assert bbb.call("updateRecordings", recordID=named, meta_a="b").findtext("updated") == "true"
    assert bbb.ids(meta_a="b") == [new, old]
    assert bbb.call("deleteRecordings", recordID=named).findtext("deleted") == "true"
    assert bbb.ids() == []


def test_only_exact_ids_are_changed(bbb: BBB, add: Add) -> None:
    add("aa-12")
    assert key(bbb.call("deleteRecordings", recordID="aa-1")) == "notFound"
    assert bbb.ids() == ["aa-12"]


@pytest.mark.parametrize(
    ("call", "more"),
    [("publishRecordings", {"publish": "true"}), ("deleteRecordings", {}), ("updateRecordings", {"meta_a": "b"})],
)
def test_a_deleted_recording_is_not_found(bbb: BBB, add: Add, call: str, more: dict[str, str]) -> None:
    record_id = add(state="deleted")
    answer = bbb.call(call, recordID=record_id, **more)
    assert (key(answer), answer.findtext("message")) == ("notFound", "We could not find recordings")
    assert bbb.ids(state="any", recordID=record_id) == [record_id]


@pytest.mark.parametrize(
    "call", ["publishRecordings", "deleteRecordings", "updateRecordings", "getRecordingTextTracks"]
)
@pytest.mark.parametrize("parameters", [{}, {"recordID": ""}, {"recordID": " , "}])
def test_without_a_record_id(bbb: BBB, call: str, parameters: dict[str, str]) -> None:
    answer = bbb.call(call, **parameters)
    assert (key(answer), answer.findtext("message")) == ("missingParamRecordID", "You must specify a recordID.")


def test_without_publish(bbb: BBB, add: Add) -> None:
    answer = bbb.call("publishRecordings", recordID=add(), publish="")
    assert key(answer) == "missingParamPublish"
    assert answer.findtext("message") == "You must specify a publish value true or false."


def test_edits_of_metadata(bbb: BBB, add: Add) -> None:
    record_id = add(metadata={"subject": "maths", "meetingName": "Room"})
    updated = bbb.call(
        "updateRecordings", "POST", recordID=record_id, meta_subject="", meta_New="1", meta_meetingname="T"
    )
    assert updated.findtext("updated") == "true"
    found = bbb.call("getRecordings").find("recordings/recording")
    assert found is not None
    assert {each.tag: each.text for each in found.find("metadata") or ()} == {"new": "1", "meetingName": "T"}
    assert found.findtext("name") == "T"
    assert bbb.ids(meta_subject="maths") == []
    assert bbb.ids(meta_new="1") == [record_id]


@pytest.mark.parametrize("name", ["meta_a b", "meta_", "meta_1", "meta_a.b", "meta_a_b", "meta_<x>", "meta_tenant_id"])
def test_a_name_that_bbb_does_not_take_is_ignored(bbb: BBB, add: Add, rows: Connection, name: str) -> None:
    record_id = add()
    assert bbb.call("updateRecordings", recordID=record_id, **{name: "x"}).findtext("updated") == "true"
    assert rows.execute("SELECT edited_metadata FROM recordings").fetchall() == [{"edited_metadata": {}}]
    assert bbb.ids() == [record_id]


def test_protection_is_stored_for_every_id(bbb: BBB, add: Add, rows: Connection) -> None:
    ids = [add(), add()]
    assert "<protected>" not in bbb.raw("getRecordings")
    bbb.call("updateRecordings", recordID=",".join(ids), protect="true")
    assert [row["protected"] for row in rows.execute("SELECT protected FROM recordings")] == [True, True]
    assert bbb.raw("getRecordings").count("<published>true</published><protected>true</protected><state>") == 2
    bbb.call("updateRecordings", recordID=ids[0], protect="false")
    bbb.call("updateRecordings", recordID=ids[1], protect="what")
    assert sorted(row["protected"] for row in rows.execute("SELECT protected FROM recordings")) == [False, True]


def test_another_tenants_recordings_do_not_exist(bbb: BBB, add: Add, rows: Connection) -> None:
    record_id = add(tenant="foreign", metadata={"a": "b"})
    assert (
        bbb.ids() == bbb.ids(recordID=record_id) == bbb.ids(meetingID="room", state="any") == bbb.ids(meta_a="b") == []
    )
    for call, more in [
        ("publishRecordings", {"publish": "false"}),
        ("deleteRecordings", {}),
        ("updateRecordings", {"meta_x": "y", "protect": "true"}),
    ]:
        assert key(bbb.call(call, recordID=record_id, **more)) == "notFound"
    found = rows.execute("SELECT state, protected, metadata FROM recordings").fetchall()
    assert found == [{"state": "published", "protected": False, "metadata": {"a": "b"}}]


def test_text_tracks_are_said_not_to_be_there(client: FlaskClient) -> None:
    query = f"recordID={RECORD_ID}"
    checksum = hashlib.sha1(f"getRecordingTextTracks{query}{SECRET}".encode()).hexdigest()
    answer = client.get(f"{API}/getRecordingTextTracks?{query}&checksum={checksum}")
    assert answer.json == {
        "response": {
            "returncode": "FAILED",
            "messageKey": "noRecordings",
            "message": f"No recording found for {RECORD_ID}",
        }
    }


@pytest.mark.parametrize(
    "call",
    ["getRecordings", "publishRecordings", "updateRecordings", "deleteRecordings", "getRecordingTextTracks"],
)
def test_a_wrong_checksum_comes_before_everything_else(client: FlaskClient, call: str) -> None:
    answer = fromstring(client.get(f"{API}/{call}?checksum={'0' * 64}").text)
    assert (key(answer), answer.findtext("message")) == (
        "checksumError",
        "You did not pass the checksum security check",
    )


@pytest.mark.parametrize("call", ["publishRecordings", "deleteRecordings"])
def test_calls_that_bbb_takes_by_get_alone(bbb: BBB, add: Add, call: str) -> None:
    record_id = add()
    assert key(bbb.call(call, "POST", recordID=record_id, publish="false")) == "unsupportedRequest"
    assert bbb.ids(state="published") == [record_id]


def test_authorisation_of_playback_follows_the_rows(
    share: Path, importer: Importer, client: FlaskClient, bbb: BBB
) -> None:
    archives.write(share / "spool" / "a.tar", archives.presentation())
    importer.run_once()

    def status(uri: str) -> int:
        return client.get("/internal/playback", headers={"X-Original-URI": uri}).status_code

    page, media = f"/playback/presentation/2.3/{RECORD_ID}", f"/presentation/{RECORD_ID}/"
    assert (status(page), status(media), status(f"{media}video/webcams.webm?x=1")) == (204, 204, 204)
    # A format that the recording does not have, and a recording that is not there.
    assert (status(f"/video/{RECORD_ID}/"), status(f"/presentation/{OTHER_ID}/")) == (404, 404)
    bbb.call("updateRecordings", recordID=RECORD_ID, protect="true")
    assert (status(page), status(media)) == (403, 403)
    bbb.call("updateRecordings", recordID=RECORD_ID, protect="false")
    bbb.call("publishRecordings", recordID=RECORD_ID, publish="false")
    assert (status(page), status(media)) == (404, 404)
    bbb.call("publishRecordings", recordID=RECORD_ID, publish="true")
    assert status(media) == 204
    bbb.call("deleteRecordings", recordID=RECORD_ID)
    assert (status(page), status(media), status(quote(media))) == (404, 404, 404)


def test_playback_is_not_granted_while_the_database_is_away(app: Flask, client: FlaskClient) -> None:
    of(app).database.close()
    answer = client.get("/internal/playback", headers={"X-Original-URI": f"/presentation/{RECORD_ID}/x"})
    assert answer.status_code == 503
