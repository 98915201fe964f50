"""``balancer node``: registers nodes, sets their admin state and shows them."""

from collections.abc import Collection, Iterable
from dataclasses import asdict
from typing import Any

import click

from balancer.cli.node_apply import apply
from balancer.cli.node_options import declared_limits, declared_options, read_secret, secret_options
from balancer.cli.output import format_option, show, table
from balancer.cli.session import Session
from balancer.core.node_tags import Pool
from balancer.core.nodes import STALE_INTERVALS, AdminState, Limits, Node, ObservedState, api_url, checked_name
from balancer.core.selection import Candidate, full, unfit
from balancer.errors import BalancerError, StorageUnavailableError
from balancer.settings import Settings
from balancer.storage.postgresql import nodes, operator_queries, transitions
from balancer.storage.postgresql.database import Connection
from balancer.storage.postgresql.node_status import NodeView, views
from balancer.storage.postgresql.transitions import Change

#: At most this many meetings are named in a refusal; `meeting list --node` lists all.
_NAMED = 10
_REMOVED = "its node was removed"
STATES = [state.value for state in AdminState]

force_option = click.option("--force", is_flag=True, help="Do it even if the node has meetings.")


class NodeBusyError(BalancerError):
    """The node is enabled or has meetings, and --force was not given."""


@click.group()
def node() -> None:
    """Nodes, which are BigBlueButton servers."""


@node.command(name="list")
@format_option
@click.pass_obj
def list_nodes(session: Session, form: str) -> None:
    """List every node with its admin state, its observed state and its load."""
    found = _views(session)
    head = ("NAME", "WANTED", "OBSERVED", "REASON", "LOAD", "MEETINGS", "USERS", "AGE", "VERSION", "URL")
    names = ("name", "admin_state", "observed_state", "reason", "load", "meetings", "users")
    rows = [
        (*(each[name] for name in names), _seconds(each["snapshot_age"]), each["bbb_version"], each["url"])
        for each in (view.public() for view in found)
    ]
    show(form, {"nodes": [view.public() for view in found]}, table(head, rows, "no nodes: `balancer node add`"))


@node.command(name="show")
@click.argument("name")
@format_option
@click.pass_obj
def show_node(session: Session, name: str, form: str) -> None:
    """Show one node."""
    public = _view(session, name).public()
    show(form, {"node": public}, [f"{key.replace('_', ' ')}: {_words(value)}" for key, value in public.items()])


@node.command()
@click.argument("name")
@format_option
@click.pass_obj
def explain(session: Session, name: str, form: str) -> None:
    """Show whether a node takes new meetings; if not, why, and what to do about it."""
    found = _views(session)
    view = _named(found, name)
    reasons = _reasons(view, session.settings)
    # Placement falls back to such a node if there is none in a better state.
    last_resort = (
        bool(reasons) and not unfit(view.node, view.observed, Pool(view.node.tags)) and not full(view.load, view.node)
    )
    verdict = f"{name} takes new meetings"
    if last_resort:
        verdict += " only while no other node is in a better state"
    elif reasons:
        verdict = f"{name} takes no new meetings"
    notes = _notes(view) + _common_fault(view, found)
    takes = {"takes_new_meetings": not reasons, "last_resort": last_resort}
    content = {"node": view.public(), **takes, "reasons": reasons, "notes": notes}
    show(form, content, [verdict, *(f"- {line}" for line in (*reasons, *notes))])


@node.command()
@click.argument("name")
@click.argument("url")
@secret_options
@declared_options
@click.option(
    "--state", type=click.Choice([state.value for state in AdminState]), default="disabled", show_default=True
)
@format_option
@click.pass_obj
def add(session: Session, /, name: str, url: str, state: str, form: str, **given: Any) -> None:
    """Register a new node."""
    declared = nodes.Declaration(
        name=checked_name(name),
        url=api_url(url),
        secret=read_secret(given),
        weight=1.0 if given["weight"] is None else given["weight"],
        tags=given["tags"] or (),
        limits=declared_limits(given, Limits()),
    )
    with session.transaction() as connection:
        nodes.add(connection, declared, AdminState(state))
    session.nodes_changed()
    show(form, {"changed": True, "node": _view(session, name).public()}, [f"{name} added, {state}"])


@node.command()
@click.argument("name")
@force_option
@format_option
@click.pass_obj
def remove(session: Session, name: str, force: bool, form: str) -> None:
    """Remove a node. Without --force it must be drained or disabled, and have no meetings."""
    with session.transaction() as connection:
        known = nodes.by_name(connection, name)
        if known.admin_state is AdminState.ENABLED and not force:
            raise NodeBusyError(f"{name} is enabled: run `balancer node drain {name}` first, or add --force")
        # From here on placement does not choose the node, so the check below sees all of its meetings.
        nodes.set_admin_state(connection, name, AdminState.DISABLED)
        _refuse_if_busy(connection, known, "remove", force)
        lost = transitions.lose_all(connection, known.id, _REMOVED)
        nodes.remove(connection, known)
    _announce(session, lost)
    session.nodes_changed()
    lines = [f"{name} removed", *(f"- {change.meeting_id} is given up" for change in lost)]
    show(form, {"changed": True, "lost_meetings": [change.meeting_id for change in lost]}, lines)


@node.command()
@click.argument("name")
@format_option
@click.pass_obj
def enable(session: Session, name: str, form: str) -> None:
    """Let a node take new meetings."""
    _set_state(session, name, AdminState.ENABLED, form)


@node.command()
@click.argument("name")
@format_option
@click.pass_obj
def drain(session: Session, name: str, form: str) -> None:
    """Give a node no new meetings. Running meetings continue and can be joined."""
    _set_state(session, name, AdminState.DRAINING, form)


@node.command()
@click.argument("name")
@force_option
@format_option
@click.pass_obj
def disable(session: Session, name: str, force: bool, form: str) -> None:
    """Give a node neither new meetings nor joins. Running meetings are not ended."""
    _set_state(session, name, AdminState.DISABLED, form, force=force)


node.add_command(apply)


def _set_state(session: Session, name: str, state: AdminState, form: str, *, force: bool = True) -> None:
    with session.transaction() as connection:
        before = nodes.by_name(connection, name)
        nodes.set_admin_state(connection, name, state)
        changed = before.admin_state is not state
        if changed:
            _refuse_if_busy(connection, before, "disable", force)
    if changed:
        session.nodes_changed()
    line = f"{name} is {state.value}" if changed else f"{name} is already {state.value}"
    show(form, {"changed": changed, "node": _view(session, name).public()}, [line])


def _views(session: Session) -> list[NodeView]:
    snapshots = session.snapshots()
    with session.transaction() as connection:
        return views(connection, snapshots, settings=session.settings)


def _view(session: Session, name: str) -> NodeView:
    return _named(_views(session), name)


def _named(found: Iterable[NodeView], name: str) -> NodeView:
    for view in found:
        if view.node.name == name:
            return view
    raise nodes.NodeUnknownError(f"no node is named {name}")


def _refuse_if_busy(connection: Connection, known: Node, verb: str, force: bool) -> None:
    if force:
        return
    rows = operator_queries.live(connection, known.id)
    if rows:
        named = ", ".join(row["meeting_id"] for row in rows[:_NAMED])
        more = f" and {len(rows) - _NAMED} more" if len(rows) > _NAMED else ""
        count = "1 meeting" if len(rows) == 1 else f"{len(rows)} meetings"
        raise NodeBusyError(
            f"{known.name} has {count}: {named}{more}; wait until they have ended"
            f" (`balancer meeting list --node {known.name}`), or run `{verb} --force`"
        )


def _announce(session: Session, lost: list[Change]) -> None:
    try:
        session.announcer.announce(lost)
    except StorageUnavailableError as error:
        click.echo(f"balancer: {error}: joins of these meetings may still be sent there", err=True)


def _reasons(view: NodeView, settings: Settings) -> list[str]:
    found = []
    name = view.node.name
    if view.node.admin_state is not AdminState.ENABLED:
        found.append(f"its admin state is {view.node.admin_state.value}: run `balancer node enable {name}`")
    observation = view.observation
    if observation is None:
        found.append("it was never polled: is balancer-poller.service running on a balancer host?")
    elif observation.reason:
        remedy = _REMEDIES[observation.reason]
        ours = settings.node_checksum_algorithm
        # If ours is among the accepted digests, they were tried before the refusal and do not explain it.
        if observation.reason == "checksum" and observation.digests and ours not in observation.digests:
            remedy = _other_digest(ours, observation.digests)
        found.append(f"it has been {observation.state.value} since {observation.since:%Y-%m-%d %H:%M:%S}: {remedy}")
    elif not view.fresh:
        limit = f"{STALE_INTERVALS:g} poll intervals of {settings.poll_interval:g} s"
        age = f"{view.age.total_seconds():.0f} s old, more than {limit}" if view.age is not None else "missing"
        found.append(f"its figures are {age}: check balancer-poller.service")
    if reached := full(view.load, view.node):
        found.append(f"it is {reached}: {_held(view)}")
    return found


def _notes(view: NodeView) -> list[str]:
    """What else sends new meetings to the node or away from it."""
    node, notes = view.node, []
    if node.tags:
        notes.append(f"it is kept for creates with meta_server-tag {' or '.join(node.tags)}")
    if reached := Candidate(node, view.observed, view.load).avoided:
        notes.append(f"it is at its soft limit of {reached} and avoided while others are below theirs: {_held(view)}")
    limits = {name.replace("_", " "): limit for name, limit in asdict(node.limits).items() if limit is not None}
    if limits:
        notes.append("limits: " + ", ".join(f"{limit} {name}" for name, limit in limits.items()))
    return notes


def _common_fault(view: NodeView, found: Iterable[NodeView]) -> list[str]:
    """Why the node does not count as unreachable, if most nodes fail together (core.health)."""
    states = [each.observed for each in found if each.observed is not ObservedState.UNREACHABLE]
    failing = states.count(ObservedState.SUSPECT)
    if view.observed is not ObservedState.SUSPECT or len(states) < 2 or failing * 2 <= len(states):
        return []
    cause = f"{failing} of {len(states)} nodes fail together, so the balancer's own network is probably at fault"
    return [f"{cause}: joins still go to this node"]


def _held(view: NodeView) -> str:
    count = view.load.meetings
    return f"it has {count} meeting{'' if count == 1 else 's'}, and {view.load.people:g} users there or expected"


def _other_digest(ours: str, accepted: Collection[str]) -> str:
    """The remedy if the node accepts the secret but not the digest; the balancer never changes its digest by itself."""
    return (
        f"it does not accept {ours}, which the balancer signs with, but {', '.join(accepted)}: allow {ours} there"
        f" (bbb-web's supportedChecksumAlgorithms), or set BALANCER_NODE_CHECKSUM_ALGORITHM to one all nodes accept"
    )


#: Remedies, by the reason of an observed state.
_REMEDIES = {
    "dns": "its name does not resolve on the balancer host",
    "connect": "no connection: is it up, and does its firewall let the balancer hosts in?",
    "tls": "TLS failed: check its certificate, the name in it, and BALANCER_NODE_CA_FILE",
    "http": "it does not answer as BBB does: check bbb-web and nginx there",
    "checksum": "it refuses the signature: compare its secret and its digests (BALANCER_NODE_CHECKSUM_ALGORITHM)",
    "version": "its API is not BBB's version 2",
    "slow": "it does not answer within BALANCER_POLL_TIMEOUT",
}


def _seconds(value: float | None) -> str | None:
    return None if value is None else f"{value:g} s"


def _words(value: object) -> object:
    if isinstance(value, dict):
        return ", ".join(f"{each} {key.replace('_', ' ')}" for key, each in value.items() if each is not None) or "-"
    if isinstance(value, list):
        return " ".join(map(str, value)) or "-"
    return "-" if value is None or value == "" else value
