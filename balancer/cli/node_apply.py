"""``balancer node apply``: creates or updates a node, for playbooks; safe to repeat."""

from dataclasses import asdict
from typing import Any

import click

from balancer.cli.node_options import declared_limits, declared_options, read_secret, secret_options
from balancer.cli.output import format_option, show
from balancer.cli.session import Session
from balancer.core.nodes import AdminState, Limits, Node, api_url, checked_name
from balancer.storage.postgresql import nodes
from balancer.storage.postgresql.database import Connection


@click.command()
@click.argument("name")
@click.option("--url", required=True, help="URL of the node's API, in any form that BBB prints.")
@secret_options
@declared_options
@click.option(
    "--state",
    type=click.Choice([state.value for state in AdminState]),
    help="Default: unchanged; a new node is disabled.",
)
@click.option("--check", is_flag=True, help="Only report what would change.")
@format_option
@click.pass_obj
def apply(session: Session, /, name: str, url: str, state: str | None, check: bool, form: str, **given: Any) -> None:
    """Register a node, or update a registered one. Options that are not given leave its values unchanged."""
    secret = read_secret(given)
    with session.transaction() as connection:
        before = _existing(connection, checked_name(name))
        desired = _desired(before, name, api_url(url), secret, state, given)
        changed = before != desired
        if changed and not check:
            _write(connection, before, desired)
    if changed and not check:
        session.nodes_changed()
    shown = _public(before, "set") if before else None
    after = _public(desired, _secret_word(before, desired))
    verb = "would change" if changed and check else "changed" if changed else "unchanged"
    show(form, {"changed": changed, "before": shown, "after": after}, [f"{name} {verb}"])


def _existing(connection: Connection, name: str) -> Node | None:
    try:
        return nodes.by_name(connection, name)
    except nodes.NodeUnknownError:
        return None


def _desired(before: Node | None, name: str, url: str, secret: str, state: str | None, given: dict[str, Any]) -> Node:
    return Node(
        id=before.id if before else 0,
        name=name,
        url=url,
        secret=secret,
        admin_state=AdminState(state) if state else before.admin_state if before else AdminState.DISABLED,
        weight=given["weight"] if given["weight"] is not None else before.weight if before else 1.0,
        tags=given["tags"] if given["tags"] is not None else before.tags if before else (),
        limits=declared_limits(given, before.limits if before else Limits()),
    )


def _write(connection: Connection, before: Node | None, desired: Node) -> None:
    declared = nodes.Declaration(
        name=desired.name,
        url=desired.url,
        secret=desired.secret,
        weight=desired.weight,
        tags=desired.tags,
        limits=desired.limits,
    )
    if before is None:
        nodes.add(connection, declared, desired.admin_state)
        return
    nodes.change(connection, before, declared)
    if desired.admin_state is not before.admin_state:
        nodes.set_admin_state(connection, desired.name, desired.admin_state)


def _public(node: Node, secret: str) -> dict[str, Any]:
    return {
        "name": node.name,
        "url": node.url,
        "admin_state": node.admin_state.value,
        "weight": node.weight,
        "tags": list(node.tags),
        "limits": asdict(node.limits),
        "secret": secret,
    }


def _secret_word(before: Node | None, desired: Node) -> str:
    if before is None:
        return "set"
    return "unchanged" if before.secret == desired.secret else "changed"
