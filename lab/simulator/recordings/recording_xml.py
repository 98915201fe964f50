"""One recording in getRecordings' answer, elements in their fixed order (reference 3.12)."""

from xml.sax.saxutils import escape, quoteattr

from lab.simulator.answers import element
from lab.simulator.recordings.catalogue import Format


def recording_element(formats: list[Format]) -> str:
    """Write a recording; common values are those of its first format."""
    first = formats[0]
    meta, meeting = first.meta(), first.document.find("meeting")
    about = dict(meeting.attrib) if meeting is not None else {}
    state = "published" if first.text("state") == "available" else first.text("state")
    parts = [
        element("recordID", first.record_id),
        element("meetingID", about.get("externalId") or meta.get("meetingId", first.record_id)),
        element("internalMeetingID", about.get("id") or first.record_id),
        element("name", about.get("name") or meta.get("meetingName", "")),
        element("isBreakout", about.get("breakout") or meta.get("isBreakout", "false")),
        element("published", first.text("published")),
        element("state", state),
        element("startTime", first.text("start_time")),
        element("endTime", first.text("end_time")),
        element("participants", first.text("participants")),
        element("rawSize", first.text("raw_size")),
        "<metadata>" + "".join(element(*item) for item in meta.items()) + "</metadata>",
        element("size", sum(int(each.text("playback/size") or 0) for each in formats)),
        "<playback>" + "".join(map(_format, formats)) + "</playback>",
        "<data></data>",
    ]
    return "<recording>" + "".join(parts) + "</recording>"


def _format(found: Format) -> str:
    duration = int(found.text("playback/duration") or 0)
    if not duration:
        duration = int(found.text("end_time") or 0) - int(found.text("start_time") or 0)
    parts = (
        element("type", found.text("playback/format") or found.playback),
        element("url", found.text("playback/link")),
        element("processingTime", found.text("playback/processing_time") or 0),
        element("length", duration // 60_000),
        element("size", found.text("playback/size") or 0),
        _preview(found),
    )
    return "<format>" + "".join(parts) + "</format>"


def _preview(found: Format) -> str:
    images = "".join(
        f"<image {' '.join(f'{name}={quoteattr(value)}' for name, value in image.items())}>"
        f"{escape(image.text or '')}</image>"
        for image in found.document.iterfind("playback/extensions/preview/images/image")
    )
    return f"<preview><images>{images}</images></preview>" if images else ""
