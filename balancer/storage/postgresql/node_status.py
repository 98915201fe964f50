"""Nodes as operators see them: what they want, what was observed, and how loaded the nodes are."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from balancer.core.load import Load
from balancer.core.meetings import Wanted
from balancer.core.nodes import Node, Observation, ObservedState, Snapshot
from balancer.core.parameters import Parameters
from balancer.settings import Settings
from balancer.storage.outlook import read_outlook
from balancer.storage.postgresql.database import Connection
from balancer.storage.postgresql.placement import choose
from balancer.storage.postgresql.sql import queries


@dataclass(frozen=True, kw_only=True)
class NodeView:
    """One node at one moment, without its secret."""

    node: Node
    observed: ObservedState
    observation: Observation | None
    since: datetime | None  #: when the observed state began; None if that is not known
    snapshot: Snapshot | None  #: the last one, however old
    age: timedelta | None  #: of the snapshot
    load: Load
    placed: int  #: live meetings of ours

    @property
    def fresh(self) -> bool:
        """Whether the snapshot's figures still count."""
        return self.observed is ObservedState.ONLINE

    def public(self) -> dict[str, Any]:
        """What ``--format json`` shows. Without a fresh snapshot a figure is null, never the last good one."""
        observation = self.observation
        return {
            "name": self.node.name,
            "url": self.node.url,
            "admin_state": self.node.admin_state.value,
            "observed_state": self.observed.value,
            "reason": self._reason(),
            "since": self.since.isoformat() if self.since else None,
            "load": round(self.load.score(self.node.weight), 2) if self.fresh else None,
            "meetings": self.load.meetings if self.fresh else self.placed,
            "users": self.snapshot.users if self.snapshot and self.fresh else None,
            "snapshot_age": round(self.age.total_seconds(), 1) if self.age is not None else None,
            "weight": self.node.weight,
            "tags": list(self.node.tags),
            "limits": asdict(self.node.limits),
            "bbb_version": observation.bbb_version if observation else "",
            "digests": list(observation.digests) if observation else [],
        }

    def _reason(self) -> str:
        if self.observed is ObservedState.STALE:
            return "no fresh figures"
        return self.observation.reason if self.observation else ""


def views(connection: Connection, snapshots: Mapping[int, Snapshot], *, settings: Settings) -> list[NodeView]:
    """Every node, by name."""
    outlook = read_outlook(connection, snapshots, settings)
    placed = {row["node_id"]: row["meetings"] for row in connection.execute(queries("placement")["placed"])}
    any_meeting = Wanted(tenant_id=0, meeting_id="", parameters=Parameters())
    found = []
    for each in choose(connection, any_meeting, (), outlook, settings).candidates:
        snapshot, observation = snapshots.get(each.node.id), outlook.observations.get(each.node.id)
        since = observation.since if observation else None
        if each.observed is ObservedState.STALE:
            since = snapshot.fresh_until(settings.poll_interval) if snapshot else None
        view = NodeView(
            node=each.node,
            observed=each.observed,
            observation=observation,
            since=since,
            snapshot=snapshot,
            age=snapshot.age(outlook.now) if snapshot else None,
            load=each.load,
            placed=placed.get(each.node.id, 0),
        )
        found.append(view)
    return sorted(found, key=lambda view: view.node.name)
