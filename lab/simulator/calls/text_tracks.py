"""getRecordingTextTracks and putRecordingTextTrack, which answer in JSON (reference 3.13)."""

import re
from email import message_from_bytes

from lab.simulator.answers import Answer, CallError, json_response
from lab.simulator.node import Node
from lab.simulator.recordings import catalogue
from lab.simulator.request import Call

_LANGUAGE = re.compile(r"[A-Za-z]{2,3}([-_][A-Za-z0-9]{2,8})*")


def get_text_tracks(node: Node, call: Call) -> Answer:
    """List a recording's captions with their addresses."""
    checksum, record_id = call.parameters.raw("checksum"), call.parameters.text("recordID")
    if not checksum and node.settings.secret:
        raise CallError("checksumError", "You did not pass the checksum security check")
    if not record_id:
        raise CallError("missingParamRecordID", "You must specify a recordID.")
    if not node.signature_is_right(call, checksum or ""):
        raise CallError("checksumError", "You did not pass the checksum security check")
    if not catalogue.exists(node.tree, [record_id]):
        return _failed("noRecordings", f"No recording found for {record_id}")
    tracks = node.text_tracks.of(record_id)
    if not tracks:
        return _failed("noCaptionsFound", f"No captions found for {record_id}")
    origin = node.settings.server_url
    listed = [{"href": node.text_tracks.address(origin, record_id, track), **track} for track in tracks]
    return json_response(returncode="SUCCESS", tracks=listed)


def put_text_track(node: Node, call: Call) -> Answer:
    """Accept an uploaded caption file."""
    sent = call.parameters
    for name in ("checksum", "recordID", "kind", "lang"):
        if not sent.text(name):
            return _failed("paramError", f"Missing param {name}.")
    if not node.signature_is_right(call, sent.raw("checksum") or ""):
        return _failed("checksumError", "You did not pass the checksum security check")
    record_id, kind, language = sent.text("recordID"), sent.text("kind"), sent.text("lang")
    if not catalogue.exists(node.tree, [record_id]):
        return _failed("noRecordings", f"No recording was found for {record_id}")
    if kind not in ("subtitles", "captions"):
        return _failed("invalidKind", f"Invalid kind parameter, expected='subtitles|captions' actual={kind}")
    if not _LANGUAGE.fullmatch(language):
        return _failed("invalidLang", f"Malformed lang param, received={language}")
    content = _uploaded(call)
    if not content:
        return _failed("empty_uploaded_text_track", "Empty uploaded text track.")
    language = language.replace("_", "-")
    about = {"kind": kind, "label": sent.text("label", language), "lang": language}
    try:
        node.text_tracks.put(record_id, about, content, node.clock.milliseconds())
    except OSError:
        return _failed("upload_text_track_failed", "Text track upload failed.")
    return json_response(
        returncode="SUCCESS",
        messageKey="upload_text_track_success",
        message="Text track uploaded successfully",
        recordId=record_id,
    )


def _uploaded(call: Call) -> bytes:
    """Return the part `file` of the multipart body."""
    head = b"Content-Type: " + call.full_content_type.encode("latin-1", "replace") + b"\r\n\r\n"
    upload = message_from_bytes(head + call.body)
    for part in upload.walk():
        if part.get_param("name", header="content-disposition") == "file":
            payload = part.get_payload(decode=True)
            return payload if isinstance(payload, bytes) else b""
    return b""


def _failed(key: str, text: str) -> Answer:
    return json_response(returncode="FAILED", messageKey=key, message=text)
