"""getRecordings, publishRecordings, deleteRecordings, updateRecordings (reference 3.12)."""

import hashlib

from lab.simulator.answers import Answer, CallError, element, message, response
from lab.simulator.node import Node
from lab.simulator.recordings import catalogue
from lab.simulator.recordings.catalogue import Format
from lab.simulator.recordings.recording_xml import recording_element
from lab.simulator.request import Call, Parameters, is_integer


def get_recordings(node: Node, call: Call) -> Answer:
    """List recordings, or a page of them if `limit` is given."""
    _sign(node, call)
    sent = call.parameters
    limit = _limit(sent)
    asks_for_all = limit is None and not sent.text("meetingID") and not sent.text("recordID")
    if asks_for_all and not node.settings.fetch_all_recordings:
        text = "No recordings found. This may occur if you attempt to retrieve all recordings."
        return response(message("noRecordings", text))
    found = [each for each in catalogue.formats(node.tree, _states(sent)) if _matches(each, sent)]
    recordings, page = _page(node, found, max(0, sent.number("offset", 0)), limit)
    if not recordings:
        nothing = message("noRecordings", "There are no recordings for the meeting(s).")
        return response("<recordings></recordings>", nothing)
    listed = "\n".join(map(recording_element, recordings))
    return response(f"<recordings>\n{listed}\n</recordings>", page)


def publish_recordings(node: Node, call: Call) -> Answer:
    """Move recordings between published and unpublished."""
    record_ids = _record_ids(node, call, "publish")
    publish = call.parameters.flag("publish")
    source, target = ("unpublished", "published") if publish else ("published", "unpublished")
    moved = catalogue.move(node.tree, record_ids, (source,), target)
    node.notify_recordings(f"rap-{target}", moved)
    return response(element("published", call.parameters.text("publish")))


def delete_recordings(node: Node, call: Call) -> Answer:
    """Move recordings to deleted, from where they cannot be restored."""
    record_ids = _record_ids(node, call)
    moved = catalogue.move(node.tree, record_ids, ("published", "unpublished"), "deleted")
    node.notify_recordings("rap-deleted", moved)
    return response(element("deleted", True))


def update_recordings(node: Node, call: Call) -> Answer:
    """Change, add and remove metadata."""
    record_ids = _record_ids(node, call)
    catalogue.update(node.tree, record_ids, list(call.parameters.metadata()))
    return response(element("updated", True))


def _sign(node: Node, call: Call) -> None:
    if not node.settings.secret:
        return
    checksum = call.parameters.raw("checksum")
    if not checksum or not node.signature_is_right(call, checksum):
        raise CallError("checksumError", "You did not pass the checksum security check")


def _record_ids(node: Node, call: Call, *needed: str) -> list[str]:
    """Check in BBB's order: checksum present, parameters present, checksum right, recording exists."""
    if not call.parameters.raw("checksum") and node.settings.secret:
        raise CallError("checksumError", "You did not pass the checksum security check")
    if not call.parameters.text("recordID"):
        raise CallError("missingParamRecordID", "You must specify a recordID.")
    if "publish" in needed and not call.parameters.text("publish"):
        raise CallError("missingParamPublish", "You must specify a publish value true or false.")
    _sign(node, call)
    record_ids = _split(call.parameters, "recordID")
    if not catalogue.exists(node.tree, record_ids):
        raise CallError("notFound", "We could not find recordings")
    return record_ids


def _split(sent: Parameters, name: str) -> list[str]:
    return [part for part in sent.text(name).split(",") if part]


def _states(sent: Parameters) -> list[str]:
    return _split(sent, "state") or ["published", "unpublished"]


def _limit(sent: Parameters) -> int | None:
    text = sent.text("limit")
    return min(100, max(1, int(text))) if is_integer(text) else None


def _matches(found: Format, sent: Parameters) -> bool:
    prefixes = _split(sent, "recordID") or [
        hashlib.sha1(meeting_id.encode(), usedforsecurity=False).hexdigest() for meeting_id in _split(sent, "meetingID")
    ]
    if prefixes and not found.record_id.startswith(tuple(prefixes)):
        return False
    meta = {name.lower(): value for name, value in found.meta().items()}
    return all(_like(meta.get(name), wanted) for name, wanted in sent.metadata())


def _like(value: str | None, wanted: str) -> bool:
    """Compare exactly, or with `%` as a wildcard at either end."""
    if value is None:
        return False
    text = wanted.strip("%")
    if wanted.startswith("%") and wanted.endswith("%"):
        return text in value
    if wanted.startswith("%"):
        return value.endswith(text)
    return value.startswith(text) if wanted.endswith("%") else value == wanted


def _page(node: Node, found: list[Format], offset: int, limit: int | None) -> tuple[list[list[Format]], str]:
    """Merge formats into recordings and cut out the page; releases differ in which of the two comes first."""
    if limit is None:
        return _merged(found), ""
    by_format = node.settings.profile.pagination == "pageable"
    if by_format:
        _check_offset(offset, len(found))
        return _merged(found[offset : offset + limit]), _pageable(offset, limit, len(found))
    merged = _merged(found)
    _check_offset(offset, len(merged))
    return merged[offset : offset + limit], element("totalElements", len(merged))


def _check_offset(offset: int, count: int) -> None:
    if offset > count:
        raise IndexError(f"fromIndex({offset}) > toIndex({count})")


def _merged(found: list[Format]) -> list[list[Format]]:
    recordings: dict[str, list[Format]] = {}
    for each in found:
        recordings.setdefault(each.record_id, []).append(each)
    return list(recordings.values())


def _pageable(offset: int, limit: int, total: int) -> str:
    pageable = element("offset", offset) + element("limit", limit) + element("paged", True) + element("unpaged", False)
    rest = element("totalElements", total) + element("empty", total == 0)
    return f"<pagination><pageable>{pageable}</pageable>{rest}</pagination>"
