"""What happened in one schedule, as nodes, PostgreSQL and clients recorded it, checked against what must never happen.

The rules are those of docs/explanation/design.md. Times are seconds since 1970, by the one clock that all of them read.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

from balancer.storage.postgresql.database import Connection
from tests.integration.web.schedules.workers import Meant, Report

#: Every change by an operator, numbered in one sequence with the changes of meetings. Both lock the node's row before
#: they draw their number, so the numbers are in the order in which PostgreSQL made the changes.
OPERATOR_LOG = """
CREATE TABLE operator_log (id bigint PRIMARY KEY, node bigint NOT NULL, admin_state text NOT NULL);
CREATE FUNCTION log_operator() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO operator_log
    VALUES (nextval(pg_get_serial_sequence('meeting_events', 'id')), NEW.id, NEW.admin_state);
    RETURN NULL;
END $$;
CREATE TRIGGER log_operator AFTER INSERT OR UPDATE OF admin_state ON nodes
FOR EACH ROW EXECUTE FUNCTION log_operator();
"""
#: The cause of what `balancer meeting give-up` does.
GIVEN_UP = "an operator gave it up"
_EVENTS = """
SELECT e.id, extract(epoch FROM e.at)::float8 AS at, e.from_state, e.to_state, e.cause, e.meeting,
    m.tenant_id, m.meeting_id, m.node_id, m.node_name, m.internal_meeting_id, m.created_at IS NOT NULL AS handed_out
FROM meeting_events AS e JOIN meetings AS m ON m.id = e.meeting
ORDER BY e.id
"""
Event = dict[str, Any]


@dataclass
class Life:
    """A meeting on a node."""

    node: str
    meeting_id: str
    internal: str
    created: float
    died: float | None = None
    lost_in_restart: bool = False
    joined: float | None = None  #: when the first user came

    def lives_at(self, moment: float) -> bool:
        return self.created <= moment and (self.died is None or self.died > moment)


@dataclass(frozen=True)
class End:
    """That a node was asked to end a meeting."""

    node: str
    query: str
    looked: float  #: when the caller had last asked the node for the meeting, by the same ID


@dataclass
class Chronicle:
    """One schedule's."""

    lives: list[Life] = field(default_factory=list)
    ends: list[End] = field(default_factory=list)
    silences: list[tuple[str, float, float]] = field(default_factory=list)  #: (node, from, to)
    reports: list[Report] = field(default_factory=list)  #: the web workers'
    meant: set[Meant] = field(default_factory=set)  #: what operators had ended
    given_up: int = 0  #: meetings, by operators
    story: list[str] = field(default_factory=list)

    def judge(self, connection: Connection) -> None:
        """Raises AssertionError if something happened that must never happen."""
        if len({life.internal for life in self.lives}) < len(self.lives):
            # Two nodes created rooms of one name in one millisecond. BBB gave both one id, so they look the same.
            return
        events = connection.execute(_EVENTS).fetchall()
        operator = connection.execute("SELECT * FROM operator_log ORDER BY id").fetchall()
        self.story += [f"{e['id']} {e['meeting_id']}@{e['node_name']} {e['to_state']}: {e['cause']}" for e in events]
        self.given_up = sum(event["cause"] == GIVEN_UP for event in events)
        self._nothing_ended_unasked(events)
        _only_on_nodes_in_service(events, operator)
        _one_live_row(events)
        self._nothing_forgotten(events)
        self._one_meeting_handed_out(events)
        assert not _unfinished(events), f"a create is left half-done: {_unfinished(events)}"

    def _nothing_ended_unasked(self, events: list[Event]) -> None:
        """An end without a request is a poller's, by internalMeetingID, and its meeting was left over by a create."""
        handed_out = {report.internal for report in self.reports} | {
            e["internal_meeting_id"] for e in events if e["handed_out"]
        }
        ordered = {str(report.order.number) for report in self.reports if report.order.kind == "end"}
        asked: set[tuple[str, str]] = set()
        for end in self.ends:
            given = parse_qs(end.query)
            named = given["meetingID"][0]
            asked.add((end.node, named))
            if set(given.get("order", ())) <= ordered and "order" in given:
                continue
            if Meant(end.node, named) in self.meant:
                continue
            lives = [life for life in self.lives if (life.node, life.internal) == (end.node, named)]
            assert lives, f"ended by its meetingID, whichever meeting that is by now: {end}"
            (life,) = lives
            assert named not in handed_out, f"ended although a client knew it: {life}"
            # A user who joins between the last check and the end is logged out, because BBB has no conditional end.
            empty = life.joined is None or life.joined > end.looked
            assert empty, f"ended although a user was in it: {life}, {end}"
            assert any(e["internal_meeting_id"] == named for e in events), f"ended although no create was ours: {life}"
        for life in self.lives:
            if life.died is not None and not life.lost_in_restart:
                ways = {(life.node, life.meeting_id), (life.node, life.internal)}
                assert ways & asked, f"ended although no one asked for it: {life}"

    def _one_meeting_handed_out(self, events: Iterable[Event]) -> None:
        """A second meeting of a name only after the first had died or was given up, or while its node was silent."""
        given_up = {event["internal_meeting_id"]: event["at"] for event in events if event["cause"] == GIVEN_UP}
        created: dict[tuple[int, str], list[Report]] = defaultdict(list)
        for report in self.reports:
            if report.internal:
                created[report.order.tenant_id, report.order.meeting_id].append(report)
        for reports in created.values():
            for first in reports:
                for second in reports:
                    if first.internal != second.internal and first.done and second.done and first.done < second.began:
                        excused = given_up.get(first.internal, second.done) < second.done or self._gone_or_silent(
                            first.internal, second.done
                        )
                        assert excused, f"another meeting was handed out: {first}, then {second}"

    def _gone_or_silent(self, internal: str, until: float) -> bool:
        """What polls know of a node lags behind: one that was silent and answers again may still count as away."""
        homes = [life for life in self.lives if life.internal == internal]
        assert homes, f"handed out although no node created it: {internal}"
        return any(
            not life.lives_at(until) or any(node == life.node and begun < until for node, begun, _ in self.silences)
            for life in homes
        )

    def _nothing_forgotten(self, events: Iterable[Event]) -> None:
        """A row of a meeting that was handed out ends after the meeting."""
        for event in events:
            if event["handed_out"] and event["to_state"] == "ended" and event["from_state"] != "creating":
                there = [
                    life
                    for life in self.lives
                    if (life.node, life.internal) == (event["node_name"], event["internal_meeting_id"])
                    and life.lives_at(event["at"])
                ]
                assert not there, f"forgotten while its node has it: {event}"


def _only_on_nodes_in_service(events: Iterable[Event], operator: Iterable[Event]) -> None:
    """A row begins to be, and its meeting is given out for the first time, only while the operator wants that."""
    state: dict[int, str] = {}
    begun: set[int] = set()
    for event in sorted([*events, *operator], key=lambda each: int(each["id"])):
        if "admin_state" in event:
            state[event["node"]] = event["admin_state"]
        elif event["to_state"] == "creating" or (event["to_state"] == "running" and event["meeting"] not in begun):
            assert state[event["node_id"]] == "enabled", f"a new meeting on a node that is out of service: {event}"
            if event["to_state"] == "running":
                begun.add(event["meeting"])


def _one_live_row(events: Iterable[Event]) -> None:
    """Of a tenant's meetingID; and of a meetingID on a node."""
    live: dict[tuple[Any, ...], int] = {}
    for event in events:
        row, named = event["meeting"], event["meeting_id"]
        for key in ((event["tenant_id"], named), (event["node_id"], named, "node")):
            if event["to_state"] in ("creating", "running"):
                assert live.get(key, row) == row, f"two live rows, {live[key]} and this: {event}"
                live[key] = row
            elif live.get(key) == row:
                del live[key]


def _unfinished(events: Iterable[Event]) -> set[int]:
    states = {event["meeting"]: event["to_state"] for event in events}
    return {row for row, state in states.items() if state == "creating"}
