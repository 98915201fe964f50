"""The recording calls. A change of a row is in force at once; the files follow later.

Sources: bbb-web's RecordingController, RecMetaResponse#toXml (element order), XmlServiceImpl (paging), 2.6 to 3.0.
"""

import re
from collections.abc import Iterator
from xml.sax.saxutils import quoteattr

from flask import Blueprint, Response, jsonify

from balancer import log
from balancer.core import recordings as rules
from balancer.core.recordings import (
    DELETED,
    PIPELINE_NAMES,
    PUBLISHED,
    UNPUBLISHED,
    PlaybackFormat,
    Preview,
    Query,
    Recording,
)
from balancer.errors import BBBError, RecordingChecksumError, RecordingNotFoundError
from balancer.storage.postgresql import recordings
from balancer.storage.postgresql.recordings import Page
from balancer.web import xml
from balancer.web.bbb_call import Call, bbb_call
from balancer.web.services import services
from balancer.web.xml import element

blueprint = Blueprint("recordings", __name__)
logger = log.get(__name__)

_NONE_FOUND = element("messageKey", "noRecordings") + element("message", "There are no recordings for the meeting(s).")
#: A metadata name that can be an element's name. Others are stored but not shown.
_ELEMENT_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")


class MissingRecordIDError(BBBError):
    message_key = "missingParamRecordID"
    default_message = "You must specify a recordID."


class MissingPublishError(BBBError):
    message_key = "missingParamPublish"
    default_message = "You must specify a publish value true or false."


@bbb_call(blueprint, "getRecordings", checksum_error=RecordingChecksumError)
def get_recordings(call: Call) -> Response:
    query = rules.query(call.parameters.prefixed(""))
    with services().database.single() as connection:
        page = recordings.search(connection, call.tenant.id, query, services().recording_counts)
    return xml.success(*_listing(page, query, services().settings.public_url))


@bbb_call(blueprint, "publishRecordings", methods=("GET",), checksum_error=RecordingChecksumError)
def publish_recordings(call: Call) -> Response:
    record_ids = _record_ids(call)
    publish = call.parameters.text("publish")
    if not publish:
        raise MissingPublishError
    _change_state(call, record_ids, PUBLISHED if publish.lower() == "true" else UNPUBLISHED)
    return xml.success(element("published", publish))


@bbb_call(blueprint, "deleteRecordings", methods=("GET",), checksum_error=RecordingChecksumError)
def delete_recordings(call: Call) -> Response:
    _change_state(call, _record_ids(call), DELETED)
    return xml.success(element("deleted", "true"))


@bbb_call(blueprint, "updateRecordings", checksum_error=RecordingChecksumError)
def update_recordings(call: Call) -> Response:
    record_ids = _record_ids(call)
    with services().database.transaction() as connection:
        found = recordings.edit(connection, call.tenant.id, record_ids, call.parameters.prefixed(""))
    if not found:
        raise RecordingNotFoundError
    logger.info("recordings edited", tenant=call.tenant.name, recordings=record_ids)
    return xml.success(element("updated", "true"))


@bbb_call(blueprint, "getRecordingTextTracks", checksum_error=RecordingChecksumError)
def get_recording_text_tracks(call: Call) -> Response:
    """Always noRecordings, because the balancer knows captions only as files of a format, not as tracks."""
    _record_ids(call)
    message = f"No recording found for {call.parameters.text('recordID')}"
    failed = {"returncode": "FAILED", "messageKey": "noRecordings", "message": message}
    return jsonify({"response": failed})


def _record_ids(call: Call) -> list[str]:
    """The given recordIDs. Raises MissingRecordIDError if there is none."""
    record_ids = rules.named_ids(call.parameters.text("recordID"))
    if not record_ids:
        raise MissingRecordIDError
    return record_ids


def _change_state(call: Call, record_ids: list[str], state: str) -> None:
    with services().database.transaction() as connection:
        found = recordings.change_state(connection, call.tenant.id, record_ids, state)
    if not found:
        raise RecordingNotFoundError
    logger.info("recordings changed", tenant=call.tenant.name, recordings=record_ids, state=state)


def _listing(page: Page, query: Query, origin: str) -> Iterator[str]:
    """Everything after the returncode, with both of BBB's forms of paging: 2.7's count and the older block."""
    yield f"<recordings>{''.join(_recording(each, origin) for each in page.recordings)}</recordings>"
    if page.total is not None:
        yield element("totalElements", str(page.total))
    if not page.recordings:
        yield _NONE_FOUND
    if page.total is not None:
        pageable = (
            f"<offset>{query.offset}</offset><limit>{query.limit}</limit><paged>true</paged><unpaged>false</unpaged>"
        )
        empty = _flag(not page.recordings)
        yield (
            f"<pagination><pageable>{pageable}</pageable><totalElements>{page.total}</totalElements>"
            f"<empty>{empty}</empty></pagination>"
        )


def _recording(recording: Recording, origin: str) -> str:
    """One recording, with its elements in BBB's order."""
    parts = [
        element("recordID", recording.record_id),
        element("meetingID", recording.meeting_id),
        element("internalMeetingID", recording.record_id),
        element("name", recording.name),
        element("isBreakout", _flag(recording.is_breakout)),
        element("published", _flag(recording.state == PUBLISHED)),
        # Scalelite's element, not BBB's, so it is left out if it would say what BBB says without it.
        element("protected", "true") if recording.protected else "",
        element("state", recording.state),
        element("startTime", str(recording.start_ms)),
        element("endTime", str(recording.end_ms)),
        element("participants", str(recording.participants or 0)),
        element("rawSize", str(recording.raw_size or 0)),
        f"<metadata>{''.join(_metadata(recording))}</metadata>",
        _breakout(recording),
        element("size", str(recording.size_bytes)),
        f"<playback>{''.join(_format(recording, each, origin) for each in recording.formats)}</playback>",
        "<data></data>",
    ]
    return f"<recording>{''.join(parts)}</recording>"


def _metadata(recording: Recording) -> Iterator[str]:
    """The pipeline's own names first, as on a node, then the others sorted by name."""
    for name, value in sorted(recording.metadata.items(), key=lambda item: (item[0] not in PIPELINE_NAMES, item[0])):
        if _ELEMENT_NAME.fullmatch(name):
            yield element(name, value)


def _breakout(recording: Recording) -> str:
    """A breakout room has an element about its parent, a parent one about its rooms."""
    elements = ""
    if recording.breakout is not None:
        names = ("parentId", "sequence", "freeJoin")
        elements += f"<breakout>{''.join(element(name, recording.breakout.get(name, '')) for name in names)}</breakout>"
    if recording.breakout_rooms:
        rooms = "".join(element("breakoutRoom", room) for room in recording.breakout_rooms)
        elements += f"<breakoutRooms>{rooms}</breakoutRooms>"
    return elements


def _format(recording: Recording, playback: PlaybackFormat, origin: str) -> str:
    parts = [
        element("type", playback.format),
        element("url", origin + playback.url),
        element("processingTime", str(playback.processing_ms or 0)),
        element("length", str(recording.minutes(playback))),
        element("size", str(playback.size_bytes)),
    ]
    # A thumbnail is part of the recording, so it is not shown while the recording is protected.
    if playback.previews and not recording.protected:
        images = "".join(_image(preview, origin) for preview in playback.previews)
        parts.append(f"<preview><images>{images}</images></preview>")
    return f"<format>{''.join(parts)}</format>"


def _image(preview: Preview, origin: str) -> str:
    sizes = (("width", preview.width), ("height", preview.height), ("alt", preview.alt))
    attributes = "".join(f" {name}={quoteattr(rules.clean(value))}" for name, value in sizes)
    return f"<image{attributes}>{xml.text(origin + preview.url)}</image>"


def _flag(value: bool) -> str:
    return "true" if value else "false"
