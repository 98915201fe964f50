"""Builds the signed URL of a call to a node, and reads the answer.

Source: bbb-web's templates get-meetings.ftlx, api-error.ftlx and api-errors.ftlx, 2.5 to 3.0.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree.ElementTree import Element, ParseError, fromstring, tostring

from balancer.core import checksum
from balancer.core.nodes import Node
from balancer.errors import NodeError

#: Limit of an answer's size. A node with a thousand meetings of a hundred users answers with about 26 MB.
ANSWER_LIMIT_BYTES = 40_000_000
#: Valid values of a createTime (milliseconds since 1970), up to the year 5138: datetime cannot hold much later ones.
CREATE_TIMES = range(1, 10**14)
#: The only XML declarations after which the bytes are known to be UTF-8.
_DECLARATION = re.compile(rb'\s*<\?xml version="1\.0"(?: encoding="[Uu][Tt][Ff]-8")?\s*\?>')
_MEETING_TAG = re.compile(r"</?meeting(?=[\s/>])[^>]*>")


def signed_url(base: str, call: str, query: bytes, secret: str, algorithm: str) -> str:
    """The URL of a call to the node whose API is at ``base`` (ending in ``/``); query: raw, without a checksum."""
    signature = checksum.sign(call, query, secret, algorithm)
    separator = "&" if query else ""
    return f"{base}{call}?{query.decode('ascii')}{separator}checksum={signature}"


@dataclass(frozen=True)
class Answer:
    """A BBB answer in XML, with the bytes that carried it."""

    success: bool
    message_key: str
    message: str
    root: Element
    body: bytes

    def text(self, path: str) -> str:
        """Text of the element at ``path``, "" if it is absent."""
        return self.root.findtext(path, "")


def parse(body: bytes) -> Answer:
    """Read a node's XML. Raises NodeError if it is not a BBB answer (HTML, truncated, hostile, no returncode)."""
    # Entities need a DTD, and a DTD needs "<!DOCTYPE". All encodings that expat knows spell it as ASCII does, except
    # UTF-16, which contains NULs. Without either, the parser in C is safe, at half the cost of defusedxml's.
    if b"<!DOCTYPE" in body or b"\0" in body:
        raise NodeError("the node's answer is not XML: it has a DTD, or NULs")
    try:
        root = fromstring(body)  # noqa: S314 - see above
    except (ParseError, ValueError, LookupError) as error:
        raise NodeError(f"the node's answer is not XML: {error.__class__.__name__}") from error
    returncode = root.findtext("returncode")
    if root.tag != "response" or returncode not in ("SUCCESS", "FAILED"):
        raise NodeError("the node's answer has no returncode")
    success = returncode == "SUCCESS"
    key, message = root.findtext("messageKey") or "", root.findtext("message") or ""
    if not success:
        # create answers a voice bridge in use with a list of errors instead of one key.
        key = key or root.findtext("errors/error/key", "")
        message = message or root.findtext("errors/error/message", "")
    return Answer(success, key, message, root, body)


def refusal(node: Node, call: str, answer: Answer) -> NodeError:
    """The error for a FAILED answer to a call that the node should accept. "checksum": wrong secret or digest."""
    reason = "checksum" if answer.message_key == "checksumError" else "http"
    return NodeError(f"{node.name} refused {call}: {answer.message_key[:40]}", reason)


@dataclass(frozen=True)
class SeenMeeting:
    """A meeting as a node lists it."""

    meeting_id: str
    internal_meeting_id: str
    create_time: int  #: milliseconds since 1970, the node's clock
    participants: int  #: moderators included
    voice: int
    video: int
    running: bool
    user_joined: bool
    forcibly_ended: bool
    breakout: bool
    parent_meeting_id: str
    xml: str  #: the ``<meeting>`` element


def seen_meetings(answer: Answer) -> list[SeenMeeting]:
    """The meetings of a getMeetings answer. Raises NodeError if one of them lacks its identity."""
    elements = answer.root.findall("meetings/meeting")
    sources = _as_written(answer.body, len(elements)) or [_serialized(element) for element in elements]
    return [_seen_meeting(element, xml) for element, xml in zip(elements, sources, strict=True)]


def _as_written(body: bytes, count: int) -> Sequence[str]:
    """The ``count`` ``<meeting>`` elements of a well-formed answer, cut out of its text; none if a cut is not safe.

    Cutting costs a hundredth of serializing. It is safe if every tag of that name belongs to one of the elements, and
    nothing can look like a tag without being one.
    """
    content = _DECLARATION.sub(b"", body, count=1) if _DECLARATION.match(body) else body
    if b"<!" in content or b"<?" in content:
        return ()
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return ()
    tags = list(_MEETING_TAG.finditer(text))
    if [tag[0] for tag in tags] != ["<meeting>", "</meeting>"] * count:
        return ()
    return [text[first.start() : last.end()] for first, last in zip(tags[::2], tags[1::2], strict=True)]


def _serialized(element: Element) -> str:
    element.tail = None
    return tostring(element, encoding="unicode")


def _seen_meeting(element: Element, xml: str) -> SeenMeeting:
    meeting_id, internal = element.findtext("meetingID", ""), element.findtext("internalMeetingID", "")
    create_time = _number(element, "createTime")
    if not (meeting_id and internal and create_time in CREATE_TIMES):
        raise NodeError("the node lists a meeting without meetingID, internalMeetingID or createTime")
    return SeenMeeting(
        meeting_id=meeting_id,
        internal_meeting_id=internal,
        create_time=create_time,
        participants=_number(element, "participantCount"),
        voice=_number(element, "voiceParticipantCount"),
        video=_number(element, "videoCount"),
        running=_true(element, "running"),
        user_joined=_true(element, "hasUserJoined"),
        forcibly_ended=_true(element, "hasBeenForciblyEnded"),
        breakout=_true(element, "isBreakout"),
        parent_meeting_id=element.findtext("parentMeetingID", ""),
        xml=xml,
    )


def _number(element: Element, tag: str) -> int:
    """A count; BBB 2.5 and 2.6 group digits by the server's locale ("1,000")."""
    digits = "".join(character for character in element.findtext(tag, "") if character in "0123456789")
    return int(digits[:18]) if digits else 0


def _true(element: Element, tag: str) -> bool:
    return element.findtext(tag, "").strip().lower() == "true"
