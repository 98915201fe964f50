"""Rows that tests need in the database: registered nodes, and meetings as a request would have left them."""

from datetime import datetime, timedelta
from typing import Any

from psycopg.sql import SQL, Identifier, Placeholder

from balancer.core.nodes import AdminState, ObservedState
from balancer.storage.postgresql import nodes
from balancer.storage.postgresql.database import Connection


def add_node(connection: Connection, name: str, *, online: bool = False, weight: float = 1.0) -> int:
    """Register an enabled node at https://NAME/. Returns its id."""
    declared = nodes.Declaration(name=name, url=f"https://{name}/", secret="a-secret", weight=weight)
    node = nodes.add(connection, declared, AdminState.ENABLED)
    if online:
        set_online(connection, node.id)
    return node.id


def set_online(connection: Connection, node_id: int) -> None:
    nodes.observe(connection, node_id, ObservedState.ONLINE, reason="", bbb_version="", digests=(), fencing=1)


def add_tenant(connection: Connection, name: str = "other") -> int:
    row = connection.execute("INSERT INTO tenants (name) VALUES (%s) RETURNING id", [name]).fetchone()
    assert row
    return int(row["id"])


def add_meeting(
    connection: Connection,
    meeting_id: str,
    node: str,
    state: str = "running",
    *,
    minutes_ago: float = 1,
    **columns: Any,
) -> int:
    """Insert a row of table meetings. Returns its id.

    node: its name; the row has its id if it is registered. minutes_ago: since the create, and since the end of an ended
    or lost meeting. columns: other values of the row.
    """
    registered = connection.execute("SELECT id FROM nodes WHERE name = %s", [node]).fetchone()
    at = _now(connection) - timedelta(minutes=minutes_ago)
    values: dict[str, Any] = {
        "tenant_id": 1,
        "meeting_id": meeting_id,
        "node_id": registered["id"] if registered else None,
        "node_name": node,
        "state": state,
        "expected_users": 10,
        "placed_at": at,
        "finished_at": at if state in ("ended", "lost") else None,
    }
    if state == "running" or columns.get("internal_meeting_id"):
        values |= {"internal_meeting_id": f"internal-{meeting_id}", "create_time": 1, "created_at": at}
    values |= columns
    statement = SQL("INSERT INTO meetings ({}) VALUES ({}) RETURNING id").format(
        SQL(", ").join(map(Identifier, values)), SQL(", ").join(map(Placeholder, values))
    )
    row = connection.execute(statement, values).fetchone()
    assert row
    return int(row["id"])


def _now(connection: Connection) -> datetime:
    row = connection.execute("SELECT clock_timestamp() AS now").fetchone()
    assert row
    now: datetime = row["now"]
    return now
