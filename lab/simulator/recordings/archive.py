"""A meeting's archive, raw/<id>/events.xml: written at the meeting's end and read by every later step."""

import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import quoteattr

from lab.simulator.answers import element
from lab.simulator.meetings import Meeting


@dataclass(frozen=True, slots=True)
class Archive:
    """The data of a meeting that the recording steps use; times in ms."""

    record_id: str
    meeting_id: str
    name: str
    breakout: bool
    start: int
    end: int
    metadata: dict[str, str]
    #: External ids of all users who were in the meeting.
    participants: frozenset[str]
    #: Whether recording was switched on at least once.
    marked: bool
    #: Uploaded presentations, without the default one.
    documents: tuple[str, ...]
    #: (ms after the start, name, message).
    chat: tuple[tuple[int, str, str], ...]

    @property
    def duration(self) -> int:
        """Length in ms."""
        return max(0, self.end - self.start)


def write(meeting: Meeting, path: Path) -> None:
    """Write a meeting's events."""
    about = {"id": meeting.internal_id, "externalId": meeting.meeting_id, "name": meeting.name}
    lines = [
        f"<recording meeting_id={quoteattr(meeting.internal_id)}>",
        f"<meeting {_attributes(about)} breakout={quoteattr(str(meeting.is_breakout).lower())}/>",
        "<metadata>" + "".join(element(*item) for item in meeting.metadata.items()) + "</metadata>",
        *_events(meeting),
        _event(meeting.end_time, "PARTICIPANT", "EndAndKickAllEvent"),
        "</recording>",
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _attributes(values: dict[str, str]) -> str:
    return " ".join(f"{name}={quoteattr(value)}" for name, value in values.items())


def _event(at: int, module: str, event: str, /, **values: object) -> str:
    inner = "".join(element(key, value) for key, value in values.items())
    return f'<event timestamp="{at}" module="{module}" eventname="{event}">{inner}</event>'


def _events(meeting: Meeting) -> list[str]:
    start = meeting.start_time or meeting.create_time
    return [
        _event(start, "PRESENTATION", "CreatePresentationPodEvent"),
        *(_event(start, "PRESENTATION", "ConversionCompletedEvent", presentationName=n) for n in meeting.documents),
        *(
            _event(at, "PARTICIPANT", "ParticipantJoinEvent", externalUserId=user.external_id, name=user.name)
            for at, user in meeting.arrivals
        ),
        *(_event(at, "PARTICIPANT", "RecordStatusEvent", status=on) for at, on in meeting.record_marks),
        *(_event(at, "CHAT", "PublicChatEvent", sender=name, message=text) for at, name, text in meeting.chat),
    ]


def read(path: Path) -> Archive:
    """Read a meeting's events back."""
    root = ElementTree.parse(path).getroot()  # noqa: S314  our own file
    about, events = root.find("meeting"), root.findall("event")
    if about is None or not events:
        raise ValueError(f"{path} is not an archive")
    times = [int(event.get("timestamp", "0")) for event in events]
    named = {name: [event for event in events if event.get("eventname") == name] for name in _NAMES}
    return Archive(
        record_id=about.get("id", ""),
        meeting_id=about.get("externalId", ""),
        name=about.get("name", ""),
        breakout=about.get("breakout") == "true",
        start=times[0],
        end=times[-1],
        metadata={item.tag: item.text or "" for item in root.iterfind("metadata/*")},
        participants=frozenset(event.findtext("externalUserId", "") for event in named[_JOINED]),
        marked=any(event.findtext("status") == "true" for event in named[_MARKED]),
        documents=tuple(event.findtext("presentationName", "") for event in named[_CONVERTED]),
        chat=tuple(_chat_line(event, times[0]) for event in named[_SAID]),
    )


_JOINED, _MARKED, _CONVERTED, _SAID = _NAMES = (
    "ParticipantJoinEvent",
    "RecordStatusEvent",
    "ConversionCompletedEvent",
    "PublicChatEvent",
)


def _chat_line(event: ElementTree.Element, start: int) -> tuple[int, str, str]:
    at = int(event.get("timestamp", "0")) - start
    return at, event.findtext("sender", ""), event.findtext("message", "")
