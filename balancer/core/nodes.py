"""A node, the state that the operator wants, and the state that was observed. These two are kept apart."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from balancer.errors import BalancerError

#: A node's name; as in table nodes.
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_URL = re.compile(r"(https?)://([^/?#@\s]+)((?:/[^/?#\s]*)*)", re.IGNORECASE)
_DEFAULT_PORTS = {"http": ":80", "https": ":443"}

#: A snapshot older than this many poll intervals says nothing about the present.
STALE_INTERVALS = 3.0


class AdminState(StrEnum):
    """What the operator wants. Only operators' commands write it."""

    ENABLED = "enabled"  #: takes new meetings
    DRAINING = "draining"  #: no new meetings, running ones go on
    DISABLED = "disabled"  #: no new meetings and no joins; getMeetingInfo and end go on


class ObservedState(StrEnum):
    """What polls found. The first three are stored at transitions; the last two mean that nothing fresh is known."""

    ONLINE = "online"
    SUSPECT = "suspect"  #: at least one poll failed: new meetings only if no node is online or stale
    UNREACHABLE = "unreachable"  #: enough polls failed; its meetings are kept
    UNKNOWN = "unknown"  #: never polled
    STALE = "stale"  #: was online, but no fresh snapshot says so


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How much a node may hold and still get new meetings; None: no limit. No limit ever refuses a join.

    A node that has reached a soft limit is avoided while another has not. A node that has reached a hard limit gets no
    new meeting. Expected users count.
    """

    soft_meetings: int | None = None
    hard_meetings: int | None = None
    soft_users: int | None = None
    hard_users: int | None = None


@dataclass(frozen=True, kw_only=True)
class Node:
    """One BBB server as registered."""

    id: int
    name: str
    url: str  #: of its API, ending in "/bigbluebutton/api/"
    secret: str = field(repr=False)
    admin_state: AdminState
    weight: float = 1.0  #: capacity: 2.0 takes twice the users of 1.0
    tags: tuple[str, ...] = ()
    limits: Limits = field(default_factory=Limits)


@dataclass(frozen=True, kw_only=True)
class Observation:
    """A node's state since its last transition (table node_observations)."""

    state: ObservedState
    reason: str  #: dns connect tls http checksum version slow; "" while online
    since: datetime
    bbb_version: str = ""
    digests: tuple[str, ...] = ()  #: that it accepts in checksums, as last tried; () if none was tried or accepted
    fencing: int = 0


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """A node's answer to one poll. Both times are PostgreSQL's."""

    node_id: int
    fencing: int  #: number of the lease under which it was taken
    poll_started: datetime  #: what happened on the node after this may be missing
    polled: datetime
    users: int
    video: int
    participants: Mapping[str, int]  #: of every meeting on the node, breakout rooms included, by internalMeetingID
    bbb_version: str = ""

    @property
    def meetings(self) -> int:
        return len(self.participants)

    def age(self, now: datetime) -> timedelta:
        """How old the figures are: since the poll began, not since they were written."""
        return now - self.poll_started

    def fresh(self, now: datetime, poll_interval: float) -> bool:
        """Whether placement and pages may use it; poll_interval: seconds."""
        return now <= self.fresh_until(poll_interval)

    def fresh_until(self, poll_interval: float) -> datetime:
        return self.poll_started + timedelta(seconds=STALE_INTERVALS * poll_interval)


def observed_state(
    observation: Observation | None, snapshot: Snapshot | None, now: datetime, poll_interval: float
) -> ObservedState:
    """A node's state at ``now``. An old snapshot makes an online node stale, whatever it said."""
    if observation is None:
        return ObservedState.UNKNOWN
    if observation.state is not ObservedState.ONLINE:
        return observation.state
    if snapshot is None or not snapshot.fresh(now, poll_interval):
        return ObservedState.STALE
    return ObservedState.ONLINE


class NodeRefusedError(BalancerError):
    """This cannot be a node's name, URL or secret."""


def api_url(given: str) -> str:
    """The one spelling of a node's API URL, "https://HOST[:PORT][/PREFIX]/bigbluebutton/api/".

    Accepts every form in which BBB, bbb-conf and other balancers print it: the bare origin, with "/bigbluebutton",
    with "/bigbluebutton/api", with and without a slash at the end. Raises NodeRefusedError.
    """
    found = _URL.fullmatch(given.strip())
    if not found:
        raise NodeRefusedError(
            f"{given!r} is not the URL of a node: give https://HOST/bigbluebutton/api, without user, query or fragment"
        )
    scheme, host = found[1].lower(), found[2].lower()
    segments = [segment for segment in found[3].split("/") if segment]
    for last in ("api", "bigbluebutton"):
        if segments and segments[-1] == last:
            segments.pop()
    return "/".join([f"{scheme}://{host.removesuffix(_DEFAULT_PORTS[scheme])}", *segments, "bigbluebutton", "api", ""])


def checked_name(given: str) -> str:
    """A node's name as given. Raises NodeRefusedError."""
    if not NAME.fullmatch(given):
        raise NodeRefusedError(
            f"{given!r} is not a name for a node: letters, digits, '.', '_' and '-', a letter or digit first"
        )
    return given


def checked_secret(given: str) -> str:
    """A node's secret without its line end. Raises NodeRefusedError, whose message does not repeat the secret."""
    secret = given.rstrip("\r\n")
    if not secret or any(character.isspace() or not character.isprintable() for character in secret):
        raise NodeRefusedError("the node's secret is empty, or holds blanks or line breaks: give it alone, on one line")
    return secret
