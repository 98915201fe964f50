"""The URLs of calls to nodes, and how their answers are read."""

import hashlib
from xml.etree.ElementTree import Element

import defusedxml.ElementTree
import pytest

from balancer.core import node_call
from balancer.core.nodes import AdminState, Node
from balancer.errors import NodeError

BASE = "https://bbb1.example.org/bigbluebutton/api/"
MEETING = b"""<meeting><meetingName>A &amp; B</meetingName><meetingID>course-77</meetingID>
<internalMeetingID>e0666d-1757000000123</internalMeetingID><createTime>1757000000123</createTime>
<running>true</running><hasUserJoined>true</hasUserJoined><hasBeenForciblyEnded>false</hasBeenForciblyEnded>
<participantCount>1,204</participantCount><voiceParticipantCount>3</voiceParticipantCount><videoCount>2</videoCount>
<isBreakout>false</isBreakout></meeting>"""


def answer(inner: bytes) -> bytes:
    return b"<response><returncode>SUCCESS</returncode>" + inner + b"</response>"


def test_a_call_is_signed_over_its_bytes() -> None:
    query = b"name=a%20b+c&meetingID=1&x[]=%C3%A8"
    signature = hashlib.sha256(b"create" + query + b"secret").hexdigest()
    url = node_call.signed_url(BASE, "create", query, "secret", "sha256")
    assert url == f"{BASE}create?{query.decode()}&checksum={signature}"


def test_a_call_without_parameters_has_the_checksum_alone() -> None:
    assert "?checksum=" in node_call.signed_url(BASE, "getMeetings", b"", "secret", "sha1")


def test_success_and_failure_are_distinguished() -> None:
    assert node_call.parse(answer(b"<running>true</running>")).text("running") == "true"
    failed = node_call.parse(
        b"<response><returncode>FAILED</returncode><messageKey>notFound</messageKey><message>M</message></response>"
    )
    assert (failed.success, failed.message_key, failed.message) == (False, "notFound", "M")


def test_the_list_of_errors_gives_its_first_key() -> None:
    failed = node_call.parse(
        b"<response><returncode>FAILED</returncode><errors><error><key>nonUniqueVoiceBridge</key>"
        b"<message>In use.</message></error></errors></response>"
    )
    assert (failed.message_key, failed.message) == ("nonUniqueVoiceBridge", "In use.")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html><body>502 Bad Gateway</body></html>",
        b"<response><returncode>SUCC",
        b"<response/>",
        b"<response><returncode>MAYBE</returncode></response>",
        b"{}",
        b"\xff\xfe\x00",
        b'<?xml version="1.0" encoding="no-such"?><response/>',
        b'<!DOCTYPE r [<!ENTITY a "aa">]><response><returncode>SUCCESS</returncode></response>',
        '<!DOCTYPE r [<!ENTITY a "aa">]><response><returncode>SUCCESS</returncode></response>'.encode("utf-16"),
        b"<response><returncode>SUCCESS</returncode>\x00</response>",
    ],
)
def test_an_answer_that_is_not_bbb_s_is_a_node_error(body: bytes) -> None:
    with pytest.raises(NodeError) as caught:
        node_call.parse(body)
    assert caught.value.reason == "http"


def test_meetings_are_read_with_grouped_digits() -> None:
    [seen] = node_call.seen_meetings(node_call.parse(answer(b"<meetings>" + MEETING + b"</meetings>")))
    assert (seen.meeting_id, seen.internal_meeting_id) == ("course-77", "e0666d-1757000000123")
    assert (seen.create_time, seen.participants, seen.voice, seen.video) == (1757000000123, 1204, 3, 2)
    assert (seen.running, seen.user_joined, seen.forcibly_ended, seen.breakout) == (True, True, False, False)
    assert seen.xml.startswith("<meeting><meetingName>A &amp; B</meetingName>")


def test_a_meeting_is_kept_as_the_node_wrote_it() -> None:
    second = MEETING.replace(b"course-77", b"course-\xc3\xa9&#x1F600;&quot;")
    body = answer(b"\n <meetings>\n" + MEETING + b"\n" + second + b"\n</meetings>")
    for prolog in (b"", b'<?xml version="1.0" encoding="UTF-8"?>\n'):
        seen = node_call.seen_meetings(node_call.parse(prolog + body))
        assert [each.xml.encode() for each in seen] == [MEETING, second]
        assert seen[1].meeting_id == 'course-\u00e9\U0001f600"'


@pytest.mark.parametrize(
    "wrong",
    [
        b"<metadata><meeting>of minds</meeting></metadata>",
        b"<metadata><x><![CDATA[</meeting><meeting>]]></x></metadata>",
        b"<metadata><x>1</x><!-- </meeting><meeting> --></metadata>",
        b"<metadata><?x </meeting><meeting> ?></metadata>",
        b'<metadata><meeting at=">"/></metadata>',
    ],
)
def test_text_that_only_looks_like_a_meeting_is_not_cut(wrong: bytes) -> None:
    meeting = MEETING.replace(b"</meeting>", wrong + b"</meeting>")
    seen = node_call.seen_meetings(node_call.parse(answer(b"<meetings>" + meeting + MEETING + b"</meetings>")))
    assert [each.meeting_id for each in seen] == ["course-77", "course-77"]
    first, second = (defusedxml.ElementTree.fromstring(each.xml) for each in seen)
    assert first.find("metadata") is not None
    assert second.find("metadata") is None


def test_an_answer_in_another_encoding_is_serialized() -> None:
    body = answer(b"<meetings>" + MEETING.replace(b"course", b"caf\xc3\xa9") + b"</meetings>").decode()
    for encoding in ("iso-8859-1", "windows-1252"):
        declared = f'<?xml version="1.0" encoding="{encoding}"?>{body}'.encode(encoding)
        [seen] = node_call.seen_meetings(node_call.parse(declared))
        assert seen.meeting_id == "caf\u00e9-77"
        assert "<meetingID>caf\u00e9-77</meetingID>" in seen.xml


def test_no_meetings_is_an_empty_list() -> None:
    assert node_call.seen_meetings(node_call.parse(answer(b"<meetings/>"))) == []


@pytest.mark.parametrize("lost", [b"meetingID", b"internalMeetingID", b"createTime"])
def test_a_meeting_without_identity_is_a_node_error(lost: bytes) -> None:
    cut = MEETING.replace(b"<" + lost + b">", b"<x>").replace(b"</" + lost + b">", b"</x>")
    with pytest.raises(NodeError):
        node_call.seen_meetings(node_call.parse(answer(b"<meetings>" + cut + b"</meetings>")))


@pytest.mark.parametrize("value", [b"0", b"1" + 14 * b"0", 40 * b"9"])
def test_a_create_time_that_is_no_date_is_a_node_error(value: bytes) -> None:
    odd = MEETING.replace(b"<createTime>1757000000123<", b"<createTime>" + value + b"<")
    with pytest.raises(NodeError):
        node_call.seen_meetings(node_call.parse(answer(b"<meetings>" + odd + b"</meetings>")))


@pytest.mark.parametrize(("key", "reason"), [("checksumError", "checksum"), ("noSuchCall", "http"), ("", "http")])
def test_a_refusal_distinguishes_a_wrong_secret_from_the_rest(key: str, reason: str) -> None:
    answer = node_call.Answer(success=False, message_key=key, message="", root=Element("response"), body=b"")
    node = Node(id=1, name="bbb1", url=BASE, secret="secret", admin_state=AdminState.ENABLED)
    error = node_call.refusal(node, "getMeetings", answer)
    assert error.reason == reason
    assert str(error) == f"bbb1 refused getMeetings: {key}"
