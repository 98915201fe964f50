"""What the poller observed, in PostgreSQL: written at transitions, read wherever a node is chosen or shown."""

from dataclasses import asdict
from datetime import datetime
from typing import cast

from balancer.core.nodes import Observation, ObservedState
from balancer.storage.database import Connection
from balancer.storage.sql import queries


def all_observations(connection: Connection) -> dict[int, Observation]:
    """Every node's last transition by node id; a node never polled is absent."""
    rows = connection.execute(queries("observations")["all"])
    return {row.pop("node_id"): Observation(**row | {"state": ObservedState(row["state"])}) for row in rows}


def put(connection: Connection, node_id: int, observation: Observation) -> bool:
    """Store a transition; False where a newer lease holder has written, or the node is gone."""
    parameters = asdict(observation) | {"node_id": node_id}
    return bool(connection.execute(queries("observations")["put"], parameters).rowcount)


def now(connection: Connection) -> datetime:
    """PostgreSQL's time at this moment: the one clock of the cluster."""
    (row,) = connection.execute(queries("observations")["now"])
    return cast(datetime, row["now"])
