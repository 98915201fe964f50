"""Nodes as operators see them: what is wanted, what was observed, and how loaded they are."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from balancer.core.load import Load, loads
from balancer.core.nodes import Node, Observation, ObservedState, Snapshot, observed_state
from balancer.settings import Settings
from balancer.storage import clock, nodes
from balancer.storage.database import Connection
from balancer.storage.placing import young_meetings
from balancer.storage.sql import queries


@dataclass(frozen=True, kw_only=True)
class NodeView:
    """One node at one moment, without its secret."""

    node: Node
    observed: ObservedState
    observation: Observation | None
    snapshot: Snapshot | None  #: the last one, however old
    age: timedelta | None  #: of the snapshot
    load: Load
    placed: int  #: live meetings of ours

    @property
    def fresh(self) -> bool:
        """Whether the figures of the snapshot are those of now."""
        return self.observed is ObservedState.ONLINE

    def public(self) -> dict[str, Any]:
        """What ``--format json`` shows. A figure is null where no fresh snapshot tells it, never the last good one."""
        known = self.observation
        return {
            "name": self.node.name,
            "url": self.node.url,
            "admin_state": self.node.admin_state.value,
            "observed_state": self.observed.value,
            "reason": known.reason if known else "",
            "since": known.since.isoformat() if known else None,
            "load": round(self.load.score(self.node.weight), 2) if self.fresh else None,
            "meetings": self.load.meetings if self.fresh else self.placed,
            "users": self.snapshot.users if self.snapshot and self.fresh else None,
            "snapshot_age": round(self.age.total_seconds(), 1) if self.age is not None else None,
            "weight": self.node.weight,
            "tags": list(self.node.tags),
            "limits": asdict(self.node.limits),
            "bbb_version": known.bbb_version if known else "",
            "digests": list(known.digests) if known else [],
        }


def views(connection: Connection, snapshots: Mapping[int, Snapshot], *, settings: Settings) -> list[NodeView]:
    """Every node, by name."""
    poll_interval, young_for = settings.poll_interval, timedelta(seconds=settings.young_meeting_seconds)
    now = clock.now(connection)
    known = nodes.all_nodes(connection)
    observations = nodes.observations(connection)
    observed = {
        node.id: observed_state(observations.get(node.id), snapshots.get(node.id), now, poll_interval) for node in known
    }
    fresh = {
        node_id: snapshot for node_id, snapshot in snapshots.items() if observed.get(node_id) is ObservedState.ONLINE
    }
    placed = _placed(connection, known)
    young = young_meetings(connection, settings.young_meeting_seconds)
    loaded = loads(known, fresh, young, placed, now, young_for, video_weight=settings.video_weight)
    return [
        NodeView(
            node=node,
            observed=observed[node.id],
            observation=observations.get(node.id),
            snapshot=snapshots.get(node.id),
            age=_age(snapshots.get(node.id), now),
            load=loaded[node.id],
            placed=placed.get(node.id, (0, 0.0))[0],
        )
        for node in known
    ]


def _age(snapshot: Snapshot | None, now: datetime) -> timedelta | None:
    return snapshot.age(now) if snapshot else None


def _placed(connection: Connection, known: list[Node]) -> dict[int, tuple[int, float]]:
    rows = connection.execute(queries("meetings")["placed"], {"node_ids": [node.id for node in known]})
    return {row["node_id"]: (row["meetings"], row["users"]) for row in rows}
