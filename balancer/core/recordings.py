"""Recordings: identifiers, states, and the meaning of the parameters of getRecordings and updateRecordings.

No name from an archive or a request is used as a path before the two patterns below have accepted it.
Sources: bbb-web's RecordingController, MeetingService#getRecordings2x, RecordingServiceFileImpl, ParamsUtil.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote

#: BBB's recordID (sha1 of the meetingID, createTime), as loosely as rap-starter reads it.
RECORD_ID: Final = re.compile(r"[0-9a-f]{1,64}-[0-9]{1,20}")
FORMAT: Final = re.compile(r"[a-z][a-z0-9_-]{0,31}")
#: First path segments that are not a format.
RESERVED_FORMATS: Final = frozenset({"bigbluebutton", "internal", "playback", "recording"})
#: Names of meta_ parameters that BBB accepts. It ignores all others.
META_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9-]*")
#: Names that the recording pipeline adds in mixed case. All other names are lower case.
PIPELINE_NAMES: Final = ("isBreakout", "meetingId", "meetingName")

PUBLISHED: Final = "published"
UNPUBLISHED: Final = "unpublished"
DELETED: Final = "deleted"
STATES: Final = (PUBLISHED, UNPUBLISHED, DELETED)
DEFAULT_STATES: Final = (PUBLISHED, UNPUBLISHED)
MAX_LIMIT: Final = 100

_MINUTE_MS = 60_000
_WHOLE = re.compile(r"[0-9a-f]{40}-[0-9]{13}")
_MAX_OFFSET = 2**31
_PREFIX = re.compile(r"[0-9a-f-]{1,85}")
_UNPRINTABLE = re.compile("[^\\t\\n\\r\\x20-\\ud7ff\\ue000-\\ufffd\\U00010000-\\U0010ffff]")


def is_record_id(text: str) -> bool:
    return RECORD_ID.fullmatch(text) is not None


def is_whole_record_id(text: str) -> bool:
    """Whether it has the length of a complete recordID, so that it is no prefix of another."""
    return _WHOLE.fullmatch(text) is not None


def is_format(text: str) -> bool:
    return FORMAT.fullmatch(text) is not None and text not in RESERVED_FORMATS


def clean(text: str) -> str:
    """The text without the characters that XML 1.0 cannot carry, such as NUL and lone surrogates."""
    return _UNPRINTABLE.sub("", text)


@dataclass(frozen=True)
class Preview:
    """A thumbnail: path and query of its address, sizes in pixels as the archive wrote them."""

    url: str
    width: str
    height: str
    alt: str


@dataclass(frozen=True)
class PlaybackFormat:
    format: str
    url: str
    length_ms: int
    size_bytes: int
    processing_ms: int | None = None
    previews: tuple[Preview, ...] = ()


@dataclass(frozen=True)
class Recording:
    """A recording as getRecordings shows it. Times are in milliseconds since the epoch."""

    record_id: str
    meeting_id: str
    name: str
    state: str
    protected: bool
    is_breakout: bool
    start_ms: int
    end_ms: int
    participants: int | None
    raw_size: int | None
    metadata: Mapping[str, str]
    breakout: Mapping[str, str] | None = None
    breakout_rooms: tuple[str, ...] = ()
    formats: tuple[PlaybackFormat, ...] = ()

    @property
    def size_bytes(self) -> int:
        return sum(each.size_bytes for each in self.formats)

    def minutes(self, playback: PlaybackFormat) -> int:
        """Length in whole minutes. A format without a length has the recording's (Recording.scala)."""
        return max(playback.length_ms or self.end_ms - self.start_ms, 0) // _MINUTE_MS


@dataclass(frozen=True)
class MetaFilter:
    """One ``meta_`` filter under its canonical name. A % at the start or end of the value is a wildcard."""

    name: str
    value: str

    @property
    def is_exact(self) -> bool:
        return not (self.value.startswith("%") or self.value.endswith("%"))

    @property
    def like(self) -> str:
        """A LIKE pattern with a wildcard for a % at the filter's start or end, everything else literal."""
        core = self.value.removeprefix("%").removesuffix("%")
        literal = re.sub(r"([\\%_])", r"\\\1", core)
        head = "%" if self.value.startswith("%") else ""
        # A lone "%" is one wildcard, not two.
        tail = "%" if len(self.value) > 1 and self.value.endswith("%") else ""
        return head + literal + tail


@dataclass(frozen=True)
class Query:
    """The request of a getRecordings call. None means no filter."""

    record_ids: tuple[str, ...] | None = None
    meeting_ids: tuple[str, ...] | None = None
    states: tuple[str, ...] = DEFAULT_STATES
    meta: tuple[MetaFilter, ...] = field(default=())
    offset: int = 0
    limit: int | None = None

    @property
    def paged(self) -> bool:
        return self.limit is not None

    @property
    def filtered(self) -> bool:
        """Whether there is any filter besides tenant and states."""
        return self.record_ids is not None or self.meeting_ids is not None or bool(self.meta)


def query(parameters: Mapping[str, str]) -> Query:
    """Read the parameters of getRecordings. What BBB ignores is ignored here too.

    recordID has precedence over meetingID. Without a numeric limit there is no paging. The limit is clamped to 1..100.
    """
    record_ids = named_ids(parameters.get("recordID", ""))
    meeting_ids = named_ids(parameters.get("meetingID", ""))
    offset, limit = _whole(parameters.get("offset")), _whole(parameters.get("limit"))
    return Query(
        # An invalid id matches nothing; it must not turn into "no filter".
        record_ids=tuple(each for each in record_ids if _PREFIX.fullmatch(each)) if record_ids else None,
        meeting_ids=tuple(meeting_ids) if meeting_ids and not record_ids else None,
        states=_states(parameters.get("state", "")),
        meta=tuple(MetaFilter(name, value) for name, value in meta_parameters(parameters)),
        offset=0 if limit is None else min(max(offset or 0, 0), _MAX_OFFSET),
        limit=None if limit is None else min(max(limit, 1), MAX_LIMIT),
    )


def named_ids(text: str) -> list[str]:
    """The ids of a list, also those that appear after decoding it again, because some front ends encode ids twice."""
    return list(dict.fromkeys(split_ids(text) + split_ids(unquote(text))))


def split_ids(text: str) -> list[str]:
    """The items of a comma-separated list. Blanks around items and empty items (a trailing comma) are ignored."""
    return [item for part in text.split(",") if (item := clean(part).strip())]


def _whole(text: str | None) -> int | None:
    return int(text) if text and re.fullmatch(r"[+-]?[0-9]{1,18}", text) else None


def _states(text: str) -> tuple[str, ...]:
    asked = split_ids(text)
    if not asked:
        return DEFAULT_STATES
    # Only nodes know processing and processed.
    return STATES if "any" in asked else tuple(state for state in STATES if state in asked)


def meta_parameters(parameters: Mapping[str, str]) -> list[tuple[str, str]]:
    """(canonical name, clean value) of every ``meta_`` parameter that BBB accepts, in order."""
    return [
        (canonical_name(name.removeprefix("meta_")), clean(value).strip())
        for name, value in parameters.items()
        if name.startswith("meta_") and META_NAME.fullmatch(name.removeprefix("meta_"))
    ]


def canonical_name(name: str) -> str:
    """The name in lower case, as create stores it, except for the three names that the recording pipeline adds."""
    lowered = name.lower()
    return next((known for known in PIPELINE_NAMES if known.lower() == lowered), lowered)


def edited(before: Mapping[str, str | None], parameters: Mapping[str, str]) -> dict[str, str | None]:
    """The users' edits after updateRecordings: ``before`` plus this call's. An empty value removes the name (None)."""
    return {**before, **{name: value or None for name, value in meta_parameters(parameters)}}
