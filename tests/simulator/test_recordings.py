"""Recordings: files on disk, post scripts, and the calls about recordings (reference 3.12, 3.13, 5)."""

import asyncio
import base64
import hmac
import io
import json
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import parse_qs
from xml.etree.ElementTree import Element

import defusedxml.ElementTree
import pytest

from lab.simulator.recordings.media import media
from tests.eventually import until_async
from tests.simulator.callback_receiver import Receiver
from tests.simulator.callback_receiver import receiver as receiver
from tests.simulator.conftest import StartNode
from tests.simulator.front_end import SECRET, FrontEnd, sign

pytestmark = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="media is made by ffmpeg")
QUICK = {"presentation": 0.05, "video": 0.3}
SLIDES = (
    b'<modules><module name="presentation"><document url="https://x.org/a.pdf" filename="a.pdf"/></module></modules>'
)


def base(root: Path) -> Path:
    return root / "var/bigbluebutton"


def done(root: Path, record_id: str, playback: str) -> bool:
    return (base(root) / f"recording/status/published/{record_id}-{playback}.done").exists()


async def meet(front: FrontEnd, meeting_id: str = "course-77", *, users: int = 2, **parameters: str) -> str:
    """Hold a meeting with slides and end it; return its internal id."""
    options = {"method": "POST", "data": SLIDES, "headers": {"Content-Type": "application/xml"}}
    parameters = {"name": "Algèbra & <more>", "meetingID": meeting_id, "record": "true", **parameters}
    record_id = (await front.call("create", options, **parameters)).get("internalMeetingID") or ""
    if users:
        await front.add_users(users, meeting_id=meeting_id)
    await front.call("end", meetingID=meeting_id)
    return record_id


async def record(front: FrontEnd, root: Path, meeting_id: str = "course-77", **parameters: str) -> str:
    """Hold a recorded meeting and wait for both formats."""
    record_id = await meet(front, meeting_id, autoStartRecording="true", **parameters)
    await until_async(lambda: all(done(root, record_id, playback) for playback in QUICK), within=30)
    return record_id


def metadata(root: Path, playback: str, record_id: str, state: str = "published") -> Element:
    found: Element = defusedxml.ElementTree.parse(base(root) / state / playback / record_id / "metadata.xml").getroot()
    return found


@pytest.fixture
async def node(start_node: StartNode) -> FrontEnd:
    return await start_node(formats=QUICK)


async def test_each_format_appears_at_its_own_time_and_metadata_is_true(start_node: StartNode, tmp_path: Path) -> None:
    media()  # created beforehand, so that the formats take no longer than their configured times
    front = await start_node(formats={"presentation": 0.05, "video": 2})
    record_id = await meet(front, autoStartRecording="true", meta_course="7")
    await until_async(lambda: done(tmp_path, record_id, "presentation"), within=30)
    assert not (base(tmp_path) / "published/video").exists()
    await until_async(lambda: done(tmp_path, record_id, "video"), within=30)

    about = metadata(tmp_path, "presentation", record_id)
    tags = "id state published start_time end_time participants meeting meta playback raw_size"
    assert [each.tag for each in about] == tags.split()
    meeting = about.find("meeting")
    assert meeting is not None
    assert meeting.attrib == {
        "id": record_id,
        "externalId": "course-77",
        "name": "Algèbra & <more>",
        "breakout": "false",
    }
    assert about.findtext("meta/course") == "7"
    assert about.findtext("playback/link") == f"{front.base}/playback/presentation/2.3/{record_id}"
    size = sum(path.stat().st_size for path in (base(tmp_path) / f"published/presentation/{record_id}").rglob("*.*"))
    written = (base(tmp_path) / f"published/presentation/{record_id}/metadata.xml").stat().st_size
    directories = about.findtext("playback/size")
    assert int(directories or 0) == pytest.approx(size - written, rel=0.5)

    video = metadata(tmp_path, "video", record_id)
    assert [each.tag for each in video] == ["id", "state", "published", "start_time", "end_time", "meta", "playback"]
    assert video.findtext("state") == "available"


async def test_every_file_that_a_player_asks_for_is_served(node: FrontEnd, tmp_path: Path) -> None:
    record_id = await record(node, tmp_path)
    names = (
        "metadata.xml shapes.svg panzooms.xml cursor.xml slides_new.xml deskshare.xml presentation_text.json"
        " captions.json polls.json external_videos.json notes.html tldraw.json caption_en.vtt video/webcams.webm"
        " deskshare/deskshare.webm"
    )
    for name in names.split():
        answer = await node.session.get(f"{node.base}/presentation/{record_id}/{name}")
        assert answer.status == 200, name
        assert await answer.read(), name
    shapes = (await node.fetch(f"/presentation/{record_id}/shapes.svg")).xml
    slides = [each.get("{http://www.w3.org/1999/xlink}href") for each in shapes]
    assert len(slides) == 3
    for slide in slides:
        assert (await node.fetch(f"/presentation/{record_id}/{slide}")).status == 200
    for path in (f"/playback/presentation/2.3/{record_id}", f"/playback/video/{record_id}/"):
        assert "<!DOCTYPE html>" in (await node.fetch(path)).text
    old = await node.fetch(f"/playback/presentation/2.0/playback.html?meetingId={record_id}")
    assert (old.status, old.headers["Location"]) == (301, f"/playback/presentation/2.3/{record_id}")
    assert (await node.fetch("/presentation/..%2f..%2f..%2f..%2fusr/local/x")).status == 404


@pytest.mark.parametrize(
    ("path", "codecs"),
    [("presentation/{}/video/webcams.webm", ["vp8", "opus"]), ("video/{}/video-0.m4v", ["h264", "aac"])],
)
async def test_media_is_real(node: FrontEnd, tmp_path: Path, path: str, codecs: list[str]) -> None:
    record_id = await record(node, tmp_path)
    command = ["ffprobe", "-v", "error", "-show_entries", "stream=codec_name:format=duration", "-of", "json"]
    media = base(tmp_path) / "published" / path.format(record_id)
    found = json.loads(subprocess.run([*command, str(media)], check=True, capture_output=True).stdout)
    assert [stream["codec_name"] for stream in found["streams"]] == codecs
    assert 3 < float(found["format"]["duration"]) < 6


@pytest.mark.parametrize(
    ("parameters", "users"), [({}, 2), ({"autoStartRecording": "true"}, 0), ({"autoStartRecording": "false"}, 1)]
)
async def test_without_a_mark_or_a_user_nothing_is_published(
    node: FrontEnd, tmp_path: Path, parameters: dict[str, str], users: int
) -> None:
    record_id = await meet(node, users=users, **parameters)
    norecord = base(tmp_path) / f"recording/status/archived/{record_id}.norecord"
    await until_async(norecord.exists)
    assert not list(base(tmp_path).glob("published/*/*"))
    assert (await node.call("getRecordings", state="any")).key == "noRecordings"


async def test_a_meeting_that_is_not_recorded_leaves_nothing(node: FrontEnd, tmp_path: Path) -> None:
    await meet(node, record="false", autoStartRecording="true")

    async def over() -> bool:
        return (await node.raw("getMeetings")).key == "noMeetings"

    await until_async(over)
    assert not base(tmp_path).exists()


async def test_kept_events_are_there_without_a_recording(node: FrontEnd, tmp_path: Path) -> None:
    record_id = await meet(node, record="false", meetingKeepEvents="true")
    await until_async((base(tmp_path) / f"recording/status/ended/{record_id}.done").exists)
    assert (base(tmp_path) / f"events/{record_id}/events.xml").is_file()


async def test_post_scripts_run_once_a_format_in_order_and_failures_stop_nothing(
    start_node: StartNode, tmp_path: Path
) -> None:
    scripts = tmp_path / "usr/local/bigbluebutton/core/scripts"
    (scripts / "post_publish").mkdir(parents=True)
    log = tmp_path / "log"
    line = f'File.write("{log}", "#{{File.basename($0)}} #{{ARGV.join(" ")}} #{{Dir.pwd}}\\n", mode: "a")\n'
    (scripts / "post_publish/b_second.rb").write_text(line)
    (scripts / "post_publish/a_first.rb").write_text(line + "exit 1\n")
    (scripts / "post_publish/ignored.txt").write_text("not a script")
    front = await start_node(formats=QUICK)
    record_id = await record(front, tmp_path)
    await until_async(lambda: log.exists() and len(log.read_text().splitlines()) == 4)
    expected = [
        [f"{script} -m {record_id} -f {playback} {scripts}" for script in ("a_first.rb", "b_second.rb")]
        for playback in ("presentation", "video")
    ]
    lines = log.read_text().splitlines()
    # Either format may be ready first.
    assert sorted([lines[:2], lines[2:]]) == expected


async def test_the_front_end_is_called_once_a_format_with_the_nodes_signature(
    node: FrontEnd, tmp_path: Path, receiver: Receiver
) -> None:
    record_id = await record(node, tmp_path, **{"meta_bbb-recording-ready-url": f"{receiver.url}/ready?a=1&b=2"})
    await until_async(lambda: len(receiver.seen) == 2)
    method, path, body = receiver.seen[0]
    assert (method, path) == ("POST", "/ready?a=1&b=2")
    head, payload, signature = parse_qs(body)["signed_parameters"][0].split(".")
    expected = hmac.digest(SECRET.encode(), f"{head}.{payload}".encode(), "sha256")
    assert base64.urlsafe_b64decode(signature + "==") == expected
    assert json.loads(base64.urlsafe_b64decode(head + "==")) == {"alg": "HS256"}
    claims = json.loads(base64.urlsafe_b64decode(payload + "=="))
    assert claims == {"meeting_id": "course-77", "record_id": record_id}


async def test_a_new_process_finishes_what_an_old_one_left(start_node: StartNode, tmp_path: Path) -> None:
    first = await start_node(processes_recordings=False)
    record_id = await meet(first, autoStartRecording="true")
    await until_async((base(tmp_path) / f"recording/status/recorded/{record_id}.done").exists)
    await start_node(formats=QUICK)
    await until_async(lambda: all(done(tmp_path, record_id, playback) for playback in QUICK), within=30)


async def test_rebuild_publishes_the_same_id_again(node: FrontEnd, tmp_path: Path) -> None:
    record_id = await record(node, tmp_path)
    path = base(tmp_path) / f"published/presentation/{record_id}/metadata.xml"
    before = path.stat().st_mtime_ns
    await node.control("POST", "/rebuild", recordID=record_id)
    await until_async(lambda: path.exists() and path.stat().st_mtime_ns > before, within=30)
    await until_async(lambda: all(done(tmp_path, record_id, playback) for playback in QUICK), within=30)


async def test_get_recordings_merges_formats_in_the_fixed_order(node: FrontEnd, tmp_path: Path) -> None:
    record_id = await record(node, tmp_path, meta_course="7")
    answer = await node.call("getRecordings", meetingID="course-77")
    recordings = answer.xml.findall("recordings/recording")
    assert len(recordings) == 1
    assert [each.tag for each in recordings[0]] == [
        *("recordID", "meetingID", "internalMeetingID", "name", "isBreakout", "published", "state", "startTime"),
        *("endTime", "participants", "rawSize", "metadata", "size", "playback", "data"),
    ]
    assert recordings[0].findtext("recordID") == record_id
    assert recordings[0].findtext("participants") == "2"
    formats = recordings[0].findall("playback/format")
    assert sorted(each.findtext("type") or "" for each in formats) == ["presentation", "video"]
    images = [image.text for image in recordings[0].iter("image")]
    assert len(images) == 3
    async with node.session.get(images[0] or "") as thumbnail:
        assert (await thumbnail.read())[:4] == b"\x89PNG"


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("recordID={id}", True),
        ("recordID={prefix}", True),
        ("recordID=none,{prefix}", True),
        ("recordID=none", False),
        ("recordID={id}&meetingID=none", True),
        ("meetingID=none,course-77", True),
        ("meta_course=7", True),
        ("meta_course=8", False),
        ("meta_title=Lin%25", True),
        ("meta_title=%25gebra", True),
        ("meta_title=%25near%25", True),
        ("meta_title=near", False),
        ("meta_absent=%25", False),
        ("state=unpublished", False),
        ("state=any", True),
        ("state=processing,published", True),
    ],
)
async def test_filters(node: FrontEnd, tmp_path: Path, query: str, found: bool) -> None:
    record_id = await record(node, tmp_path, meta_course="7", meta_title="Linear algebra")
    answer = await node.raw("getRecordings", query.format(id=record_id, prefix=record_id.partition("-")[0]))
    assert (answer.xml.find("recordings/recording") is not None) is found
    if not found:
        assert (answer.ok, answer.key) == (True, "noRecordings")
        assert answer.get("message") == "There are no recordings for the meeting(s)."


async def test_pages_are_of_recordings_or_of_formats_by_release(start_node: StartNode, tmp_path: Path) -> None:
    new = await start_node(formats=QUICK)
    for number in range(2):
        await record(new, tmp_path, f"room-{number}")
    answer = await new.raw("getRecordings", "limit=1&offset=1")
    assert [each.tag for each in answer.xml] == ["returncode", "recordings", "totalElements"]
    assert answer.get("totalElements") == "2"
    assert len(answer.xml.findall("recordings/recording/playback/format")) == 2
    assert (await new.raw("getRecordings", "limit=1&offset=9")).status == 500
    assert (await new.raw("getRecordings", "limit=x")).get("totalElements") is None

    old = await start_node(profile="2.6")
    answer = await old.raw("getRecordings", "limit=1")
    assert answer.get("pagination/totalElements") == "4"
    assert answer.get("pagination/pageable/limit") == "1"
    assert len(answer.xml.findall("recordings/recording/playback/format")) == 1


async def test_fetching_everything_may_be_forbidden(start_node: StartNode) -> None:
    front = await start_node(fetch_all_recordings=False)
    answer = await front.raw("getRecordings")
    assert (answer.ok, answer.key, answer.xml.find("recordings")) == (True, "noRecordings", None)


async def test_publication_moves_directories_and_deletion_is_permanent(node: FrontEnd, tmp_path: Path) -> None:
    record_id = await record(node, tmp_path)
    answer = await node.call("publishRecordings", recordID=record_id, publish="false")
    assert answer.get("published") == "false"
    assert metadata(tmp_path, "presentation", record_id, "unpublished").findtext("published") == "false"
    assert (await node.fetch(f"/presentation/{record_id}/metadata.xml")).status == 404
    listed = await node.call("getRecordings", recordID=record_id)
    assert listed.get("recordings/recording/state") == "unpublished"
    await node.call("publishRecordings", recordID=record_id, publish="true")
    assert metadata(tmp_path, "presentation", record_id).findtext("state") == "published"
    assert (await node.call("deleteRecordings", recordID=record_id)).get("deleted") == "true"
    assert (base(tmp_path) / f"deleted/video/{record_id}/video-0.m4v").is_file()
    assert (await node.call("publishRecordings", recordID=record_id, publish="true")).key == "notFound"
    assert (await node.call("getRecordings", state="deleted")).get("recordings/recording/recordID") == record_id


async def test_metadata_is_changed_added_and_removed(node: FrontEnd, tmp_path: Path) -> None:
    record_id = await record(node, tmp_path, meta_course="7", meta_title="old")
    answer = await node.call("updateRecordings", recordID=record_id, meta_title="new", meta_course="", meta_Extra="x")
    assert answer.get("updated") == "true"
    for playback in QUICK:
        meta = {each.tag: each.text for each in metadata(tmp_path, playback, record_id).find("meta") or ()}
        assert meta["title"] == "new"
        assert meta["extra"] == "x"
        assert "course" not in meta


@pytest.mark.parametrize(
    ("call", "parameters", "key"),
    [
        ("publishRecordings", {}, "missingParamRecordID"),
        ("publishRecordings", {"recordID": "x"}, "missingParamPublish"),
        ("publishRecordings", {"recordID": "x", "publish": "true"}, "notFound"),
        ("deleteRecordings", {"recordID": "x"}, "notFound"),
        ("updateRecordings", {"recordID": "x"}, "notFound"),
    ],
)
async def test_refusals(front: FrontEnd, call: str, parameters: dict[str, str], key: str) -> None:
    assert (await front.call(call, **parameters)).key == key


async def test_text_tracks_are_listed_fetched_once_and_uploaded(node: FrontEnd, tmp_path: Path) -> None:
    record_id = await record(node, tmp_path)
    listed = json.loads((await node.call("getRecordingTextTracks", recordID=record_id)).text)["response"]
    assert [track["lang"] for track in listed["tracks"]] == ["en-US"]
    path = listed["tracks"][0]["href"].removeprefix(node.base)
    assert (await node.fetch(path)).text.startswith("WEBVTT")
    assert (await node.fetch(path)).status == 404

    query = f"recordID={record_id}&kind=captions&lang=de_DE&label=Deutsch"
    url = f"{node.base}/bigbluebutton/api/putRecordingTextTrack?{query}&checksum={sign('putRecordingTextTrack', query)}"
    upload = {"file": io.BytesIO(b"1\n00:00:01,000 --> 00:00:02,500\nHallo\n")}
    async with node.session.post(url, data=upload) as answer:
        body = (await answer.json())["response"]
    assert (body["messageKey"], body["recordId"]) == ("upload_text_track_success", record_id)
    assert "00:00:01.000 --> 00:00:02.500" in (base(tmp_path) / f"captions/{record_id}/captions_de-DE.vtt").read_text()
    again = json.loads((await node.call("getRecordingTextTracks", recordID=record_id)).text)["response"]["tracks"]
    assert [(track["lang"], track["source"]) for track in again] == [("en-US", "live"), ("de-DE", "upload")]


async def test_a_track_that_cannot_be_stored_is_reported(node: FrontEnd, tmp_path: Path) -> None:
    record_id = await record(node, tmp_path)
    inbox = base(tmp_path) / "captions/inbox"
    inbox.rmdir()
    inbox.touch()
    query = f"recordID={record_id}&kind=captions&lang=de"
    url = f"{node.base}/bigbluebutton/api/putRecordingTextTrack?{query}&checksum={sign('putRecordingTextTrack', query)}"
    async with node.session.post(url, data={"file": io.BytesIO(b"1\n")}) as answer:
        body = (await answer.json())["response"]
    assert (body["returncode"], body["messageKey"]) == ("FAILED", "upload_text_track_failed")


@pytest.mark.parametrize(
    ("query", "key"),
    [
        ("kind=captions&lang=de", "paramError"),
        ("recordID=x&kind=captions&lang=de", "noRecordings"),
    ],
)
async def test_text_track_refusals_are_json(front: FrontEnd, query: str, key: str) -> None:
    answer = await front.raw("putRecordingTextTrack", query, method="POST")
    assert json.loads(answer.text)["response"]["messageKey"] == key
    answer = await front.call("getRecordingTextTracks", recordID="x")
    assert json.loads(answer.text)["response"] == {
        "returncode": "FAILED",
        "messageKey": "noRecordings",
        "message": "No recording found for x",
    }


async def test_documents_and_chat_reach_a_running_meeting(front: FrontEnd) -> None:
    await front.create()
    options = {"method": "POST", "data": SLIDES, "headers": {"Content-Type": "application/xml"}}
    answer = await front.call("insertDocument", options, meetingID="course-77")
    assert [each.tag for each in answer.xml] == ["returncode", "message"]
    assert answer.get("message") == "Presentation is being uploaded"
    assert (await front.call("sendChatMessage", meetingID="course-77", message="Hi")).key == "meetingNotFound"
    await front.add_users(1)
    answer = await front.call("sendChatMessage", meetingID="course-77", message="Hi", userName="Ada")
    assert (answer.ok, answer.get("message")) == (True, "Message successfully sent")
    meeting = (await front.control("GET", "/meetings"))["meetings"][0]
    assert (meeting["documents"], meeting["chat"]) == (["a.pdf"], [{"name": "Ada", "message": "Hi"}])
    assert (await front.call("sendChatMessage", meetingID="course-77")).key == "nullError"
    assert (await front.call("sendChatMessage", meetingID="course-77", message="x" * 501)).key == "sizeError"


async def test_insert_document_fails_in_its_own_shape(front: FrontEnd) -> None:
    options = {"method": "POST", "data": SLIDES, "headers": {"Content-Type": "application/xml"}}
    answer = await front.call("insertDocument", options, meetingID="nope")
    assert [each.tag for each in answer.xml] == ["returncode", "message"]
    assert answer.get("message") == "Meeting with id [nope] not found."
    assert (await front.call("insertDocument", {"method": "POST"}, meetingID="nope")).get("returncode") == "FAILED"
    await front.create(disabledFeatures="chat,presentation")
    answer = await front.call("insertDocument", options, meetingID="course-77")
    assert answer.get("message") == "Presentation feature is disabled, ignoring."


async def test_chat_messages_came_with_3_0(start_node: StartNode) -> None:
    front = await start_node(profile="2.7")
    assert (await front.call("sendChatMessage", meetingID="x", message="Hi")).status == 404


async def test_a_worker_of_its_own_publishes_under_the_hosts_playback_name(
    start_node: StartNode, tmp_path: Path
) -> None:
    front = await start_node(processes_recordings=False)
    record_id = await meet(front, autoStartRecording="true")
    await until_async((base(tmp_path) / f"recording/status/recorded/{record_id}.done").exists)
    settings = tmp_path / "usr/local/bigbluebutton/core/scripts/bigbluebutton.yml"
    settings.write_text("playback_host: bbb1.example.org\nplayback_protocol: https\n")
    command = ["-m", "lab.simulator.recordings", "--root", str(tmp_path), "--format", "podcast=0.1"]
    project = Path(__file__).parents[2]
    worker = await asyncio.create_subprocess_exec(sys.executable, *command, cwd=project)
    try:
        await until_async(lambda: done(tmp_path, record_id, "podcast"), within=30)
    finally:
        worker.terminate()
    assert await worker.wait() == 0
    about = metadata(tmp_path, "podcast", record_id)
    assert about.findtext("playback/link") == f"https://bbb1.example.org/podcast/{record_id}/audio.ogg"
    assert about.find("playback/processing_time") is None
