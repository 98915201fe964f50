"""getMeetings: what nodes listed at their last polls, merged with what happened since.

Element names and their order: bbb-web's get-meetings.ftlx, 3.0.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from html import unescape
from typing import NamedTuple
from xml.sax.saxutils import escape

from balancer.core.node_call import Answer, parse
from balancer.core.parameters import Parameters

#: BBB's rule for names of metadata; others are dropped by the node.
_METADATA = re.compile(r"[a-z][a-z0-9-]*")
#: What XML cannot hold.
_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
#: Elements that a node answers create with, too.
_ANSWERED = (
    "meetingID", "internalMeetingID", "createTime", "createDate", "voiceBridge", "dialNumber", "attendeePW",
    "moderatorPW", "duration",
)  # fmt: skip
#: A ``<meeting>`` that no user has entered yet, in BBB's order; the values are used for what is not known.
_NEW = {
    "meetingName": "",
    "meetingID": "",
    "internalMeetingID": "",
    "createTime": "",
    "createDate": "",
    "voiceBridge": "",
    "dialNumber": "",
    "attendeePW": "",
    "moderatorPW": "",
    "running": "false",
    "duration": "0",
    "hasUserJoined": "false",
    "recording": "false",
    "hasBeenForciblyEnded": "false",
    "startTime": "",
    "endTime": "0",
    "participantCount": "0",
    "listenerCount": "0",
    "voiceParticipantCount": "0",
    "videoCount": "0",
    "maxUsers": "0",
    "moderatorCount": "0",
}


class TenantMeeting(NamedTuple):
    """A running meeting of a tenant, for which no end was requested."""

    node_id: int
    meeting_id: str
    internal_meeting_id: str
    created_at: float  #: seconds since 1970, PostgreSQL's clock
    create_time: int  #: milliseconds since 1970, the node's clock
    recorded: bool


@dataclass(frozen=True)
class Part:
    """The meetings that one node listed."""

    poll_started: datetime  #: PostgreSQL's clock
    meetings: Mapping[str, str]  #: ``<meeting>`` elements by internalMeetingID

    @cached_property
    def breakouts(self) -> list[tuple[str, str, str]]:
        """Breakout rooms: internalMeetingID, the parent's, and the ``<meeting>`` element."""
        return [
            (internal, _text(xml, "parentMeetingID"), xml)
            for internal, xml in self.meetings.items()
            if "<isBreakout>true</isBreakout>" in xml
        ]


def merge(rows: Iterable[TenantMeeting], parts: Mapping[int, Part], young: Mapping[str, str]) -> list[str]:
    """A tenant's ``<meeting>`` elements: those of its rows, and their breakout rooms.

    A meeting that no poll can have seen is listed as young says, else with what its row knows.
    parts: by node id. young: elements by internalMeetingID.
    """
    found: list[str] = []
    parents: dict[int, set[str]] = {}
    polled = {node_id: part.poll_started.timestamp() for node_id, part in parts.items()}
    for row in rows:
        part = parts.get(row.node_id)
        xml = part.meetings.get(row.internal_meeting_id) if part else None
        if xml is None and row.created_at >= polled.get(row.node_id, 0):
            xml = young.get(row.internal_meeting_id) or _meeting_of_row(row)
        if xml is not None:
            found.append(xml)
            parents.setdefault(row.node_id, set()).add(row.internal_meeting_id)
    for node_id, internal_ids in parents.items():
        if node_id in parts:
            # A room that a front end created has a row of its own, and is there already.
            found += [
                xml
                for internal, parent, xml in parts[node_id].breakouts
                if parent in internal_ids and internal not in internal_ids
            ]
    return found


def unseen(rows: Iterable[TenantMeeting], parts: Mapping[int, Part]) -> list[str]:
    """internalMeetingIDs of rows that no poll has listed."""
    return [
        row.internal_meeting_id
        for row in rows
        if row.node_id not in parts or row.internal_meeting_id not in parts[row.node_id].meetings
    ]


def external_ids(part: Part) -> dict[str, str]:
    """meetingIDs of what a node listed, by internalMeetingID."""
    return {internal: _text(xml, "meetingID") for internal, xml in part.meetings.items()}


def _text(xml: str, tag: str) -> str:
    """Text of the first such element of a ``<meeting>``, which is well-formed; HTML's entities include all of XML's."""
    return unescape(xml.partition(f"<{tag}>")[2].partition(f"</{tag}>")[0])


def initial_listing(parameters: Parameters, answer: Answer) -> str:
    """The parameters and the answer of the create that made a meeting, in one text for ``young_meeting``.

    It is cheap to make, because every create writes one and few are ever read.
    """
    return f"{parameters.encode().decode('ascii')}\n{answer.body.decode('latin-1')}"


def young_meeting(listing: str) -> str:
    """The ``<meeting>`` that a node lists right after a create, from its ``initial_listing``. Raises NodeError."""
    query, _, body = listing.partition("\n")
    parameters, answer = Parameters.parse(query.encode("ascii")), parse(body.encode("latin-1"))
    name, recorded, breakout = parameters.text("name"), parameters.flag("record"), parameters.flag("isBreakout")
    metadata = {
        named.lower(): value
        for named, value in parameters.prefixed("meta_").items()
        if _METADATA.fullmatch(named.lower())
    }
    if recorded:
        # The node adds them for its recording scripts.
        metadata |= {"isBreakout": _java(breakout), "meetingId": answer.text("meetingID"), "meetingName": name}
    known = {
        "meetingName": name,
        "recording": _java(recorded),
        "maxUsers": _number(parameters, "maxParticipants"),
    }
    room = {
        "parentMeetingID": answer.text("parentMeetingID"),
        "sequence": _number(parameters, "sequence"),
        "freeJoin": _java(parameters.flag("freeJoin")),
    }
    return _meeting({tag: answer.text(tag) for tag in _ANSWERED} | known, metadata, room if breakout else {})


def _meeting_of_row(row: TenantMeeting) -> str:
    """The ``<meeting>`` of a meeting that we know only from its row, which has neither its name nor its users."""
    created = datetime.fromtimestamp(row.create_time // 1000, UTC)
    known = {
        "meetingName": row.meeting_id,
        "meetingID": row.meeting_id,
        "internalMeetingID": row.internal_meeting_id,
        "createTime": str(row.create_time),
        "createDate": f"{created:%a %b %d %H:%M:%S UTC %Y}",  # as java.util.Date writes it
        "recording": _java(row.recorded),
    }
    return _meeting(known, {}, {})


def _meeting(known: dict[str, str], metadata: dict[str, str], room: dict[str, str]) -> str:
    """room: elements that only a breakout room has."""
    fields = _elements(_NEW | known | {"startTime": known["createTime"]})
    return (
        f"<meeting>{fields}<attendees /><metadata>{_elements(metadata)}</metadata>"
        f"<isBreakout>{_java(bool(room))}</isBreakout>{_elements(room)}</meeting>"
    )


def _java(value: bool) -> str:
    """As Java writes it."""
    return str(value).lower()


def _elements(texts: Mapping[str, str]) -> str:
    return "".join(_element(tag, text) for tag, text in texts.items())


def _element(tag: str, value: str) -> str:
    return f"<{tag}>{escape(_FORBIDDEN.sub(chr(0xFFFD), value))}</{tag}>"


def _number(parameters: Parameters, name: str) -> str:
    text = parameters.text(name, "0")
    return text if text.isascii() and text.isdigit() else "0"
