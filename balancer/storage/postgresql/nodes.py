"""Nodes in PostgreSQL: what operators declare (table nodes), and what polls observed (node_observations)."""

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime
from typing import Any

import psycopg.errors

from balancer.core.nodes import AdminState, Limits, Node, Observation, ObservedState
from balancer.errors import BalancerError
from balancer.storage.postgresql.database import Connection
from balancer.storage.postgresql.sql import queries

_SQL = queries("nodes")


class NodeKnownError(BalancerError):
    """A node with this name or URL is already registered."""


class NodeUnknownError(BalancerError):
    """No node with this name is registered."""


@dataclass(frozen=True, kw_only=True)
class Declaration:
    """A node as the inventory or an operator declares it."""

    name: str
    url: str  #: of its API, ending in "/"
    secret: str = field(repr=False)
    weight: float = 1.0
    tags: tuple[str, ...] = ()
    limits: Limits = field(default_factory=Limits)


def all_nodes(connection: Connection) -> list[Node]:
    """Every registered node, by name."""
    return [_node(row) for row in connection.execute(_SQL["all"])]


def changes(connection: Connection) -> dict[int, datetime]:
    """When each node's declaration or admin state was last changed, by node id."""
    return {row["id"]: row["changed_at"] for row in connection.execute(_SQL["changes"])}


def by_name(connection: Connection, name: str) -> Node:
    """Raises NodeUnknownError."""
    row = connection.execute(_SQL["by_name"], {"name": name}).fetchone()
    return _required(row, name)


def add(connection: Connection, declared: Declaration, admin_state: AdminState) -> Node:
    """Register a node. Raises NodeKnownError if its name or URL is already registered."""
    values = _values(declared) | {"admin_state": admin_state.value}
    row = connection.execute(_SQL["add"], values).fetchone()
    if row is None:
        raise NodeKnownError(f"a node named {declared.name}, or one at {declared.url}, is already registered")
    return _node(row)


def change(connection: Connection, node: Node, declared: Declaration) -> Node:
    """Set the node's URL, secret, weight, tags and limits as declared; its admin state stays.

    Raises NodeUnknownError, and NodeKnownError if another node has the URL.
    """
    try:
        row = connection.execute(_SQL["change"], _values(declared) | {"id": node.id}).fetchone()
    except psycopg.errors.UniqueViolation:
        raise NodeKnownError(f"another node is registered at {declared.url}") from None
    return _required(row, node.name)


def set_admin_state(connection: Connection, name: str, admin_state: AdminState) -> Node:
    """Set what the operator wants. Raises NodeUnknownError."""
    row = connection.execute(_SQL["set_admin_state"], {"name": name, "admin_state": admin_state.value}).fetchone()
    return _required(row, name)


def remove(connection: Connection, node: Node) -> None:
    """Delete a node; its meetings' rows stay, without a node. Raises NodeUnknownError."""
    if connection.execute(_SQL["remove"], {"id": node.id}).rowcount != 1:
        raise NodeUnknownError(f"no node is named {node.name}")


def observations(connection: Connection) -> dict[int, Observation]:
    """The observed state of each node that was ever polled, by node id."""
    return {row["node_id"]: _observation(row) for row in connection.execute(_SQL["observations"])}


def observe(
    connection: Connection,
    node_id: int,
    state: ObservedState,
    *,
    reason: str,
    bbb_version: str,
    digests: Collection[str] = (),
    fencing: int,
) -> Observation | None:
    """Write a poll's result. Returns None if a newer lease holder has written, or the node was removed."""
    values = {
        "node_id": node_id,
        "state": state.value,
        "reason": reason,
        "bbb_version": bbb_version,
        "digests": list(digests),
        "fencing": fencing,
    }
    row = connection.execute(_SQL["observe"], values).fetchone()
    return _observation(row) if row else None


def _values(declared: Declaration) -> dict[str, Any]:
    return {
        "name": declared.name,
        "url": declared.url,
        "secret": declared.secret,
        "weight": declared.weight,
        "tags": list(declared.tags),
        **asdict(declared.limits),
    }


def _required(row: Mapping[str, Any] | None, name: str) -> Node:
    if row is None:
        raise NodeUnknownError(f"no node is named {name}")
    return _node(row)


def read_node(row: Mapping[str, Any], node_id: int) -> Node:
    """The node in a row that has all of a node's columns, and possibly others."""
    return Node(
        id=node_id,
        name=row["name"],
        url=row["url"],
        secret=row["secret"],
        admin_state=AdminState(row["admin_state"]),
        weight=row["weight"],
        tags=tuple(row["tags"]),
        limits=Limits(**{field.name: row[field.name] for field in fields(Limits)}),
    )


def _node(row: Mapping[str, Any]) -> Node:
    return read_node(row, row["id"])


def _observation(row: Mapping[str, Any]) -> Observation:
    return Observation(
        state=ObservedState(row["state"]),
        reason=row["reason"],
        since=row["since"],
        bbb_version=row["bbb_version"],
        digests=tuple(row["digests"]),
        fencing=row["fencing"],
    )
