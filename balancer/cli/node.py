"""``balancer node``: registration, and what operators want of a node."""

from collections.abc import Collection, Iterable
from dataclasses import asdict
from typing import Any

import click

from balancer.cli.node_apply import apply
from balancer.cli.node_options import declared_limits, declared_options, read_secret, secret_options
from balancer.cli.output import format_option, show, table
from balancer.cli.session import Session
from balancer.core.nodes import AdminState, Limits, Node, ObservedState, api_url, checked_name
from balancer.core.pools import Pool
from balancer.core.selection import Candidate, full, unfit
from balancer.errors import BalancerError, StorageUnavailableError
from balancer.settings import Settings
from balancer.storage.postgresql import nodes, operator_queries, transitions
from balancer.storage.postgresql.database import Connection
from balancer.storage.postgresql.node_views import NodeView, views
from balancer.storage.postgresql.transitions import Change

#: Meetings named in a refusal; `meeting list --node` names all.
_NAMED = 10
_REMOVED = "its node was removed"
STATES = [state.value for state in AdminState]

force_option = click.option("--force", is_flag=True, help="Do it although meetings are there.")


class NodeBusyError(BalancerError):
    """The node has meetings, and nobody said --force."""


@click.group()
def node() -> None:
    """The nodes: BigBlueButton servers."""


@node.command(name="list")
@format_option
@click.pass_obj
def list_nodes(session: Session, form: str) -> None:
    """List every node with what is wanted of it and what is seen of it."""
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
    """Tell whether a node takes new meetings, and if not, why and what helps."""
    found = _views(session)
    view = _named(found, name)
    reasons = _reasons(view, session.settings)
    # Placement falls back to such a node where it knows of no better one.
    last_resort = (
        bool(reasons) and not unfit(view.node, view.observed, Pool(view.node.tags)) and not full(view.load, view.node)
    )
    verdict = f"{name} takes new meetings"
    if last_resort:
        verdict += " only while no other node is better known"
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
    """Register a node that is not known yet."""
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
    """Forget a node; without --force only one that is drained or disabled and has no meetings."""
    with session.transaction() as connection:
        known = nodes.by_name(connection, name)
        if known.admin_state is AdminState.ENABLED and not force:
            raise NodeBusyError(f"{name} is enabled: `balancer node drain {name}` first, or say --force")
        # From here on no placement chooses it: whatever is placed there is seen below.
        nodes.set_admin_state(connection, name, AdminState.DISABLED)
        _refuse_if_busy(connection, known, "remove", force)
        lost = transitions.lose_all(connection, known.id, _REMOVED)
        nodes.remove(connection, known)
    _announce(session, lost)
    session.nodes_changed()
    lines = [f"{name} removed", *(f"- {change.meeting_id} is given up" for change in lost)]
    show(form, {"changed": True, "lost_meetings": [change.meeting_id for change in lost]}, lines)


def _state_command(verb: str, state: AdminState, help_text: str, *, asks: bool = False) -> None:
    """Add ``balancer node VERB NAME``, which brings one admin state about."""

    def command(session: Session, name: str, form: str, force: bool = True) -> None:
        with session.transaction() as connection:
            before = nodes.by_name(connection, name)
            nodes.set_admin_state(connection, name, state)
            if before.admin_state is not state:
                _refuse_if_busy(connection, before, verb, force)
        if before.admin_state is not state:
            session.nodes_changed()
        changed = before.admin_state is not state
        line = f"{name} is {state.value}" if changed else f"{name} is {state.value} already"
        show(form, {"changed": changed, "node": _view(session, name).public()}, [line])

    command.__doc__ = help_text
    wrapped = click.pass_obj(format_option(command))
    node.command(name=verb)(click.argument("name")(force_option(wrapped) if asks else wrapped))


node.add_command(apply)
_state_command("enable", AdminState.ENABLED, "Let a node take new meetings.")
_state_command("drain", AdminState.DRAINING, "Give a node no new meetings; running ones go on and can be joined.")
_state_command(
    "disable", AdminState.DISABLED, "Give a node neither new meetings nor joins; nothing is ended.", asks=True
)


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
            f"{known.name} has {count}: {named}{more}; wait until they ended"
            f" (`balancer meeting list --node {known.name}`), or say `{verb} --force`"
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
        found.append(f"an operator wants it {view.node.admin_state.value}: `balancer node enable {name}`")
    known = view.observation
    if known is None:
        found.append("it was never polled: is balancer-poller.service running on a balancer host?")
    elif known.reason:
        remedy = _HELP[known.reason]
        ours = settings.node_checksum_algorithm
        # Where ours is among them they are from before the refusal, and tell nothing of it.
        if known.reason == "checksum" and known.digests and ours not in known.digests:
            remedy = _other_digest(ours, known.digests)
        found.append(f"it is {known.state.value} since {known.since:%Y-%m-%d %H:%M:%S}: {remedy}")
    elif not view.fresh:
        age = f"{view.age.total_seconds():.0f} s old" if view.age is not None else "missing"
        found.append(
            f"its figures are {age}, more than 3 times {settings.poll_interval:g} s: look at balancer-poller.service"
        )
    if reached := full(view.load, view.node):
        found.append(f"it is {reached}: {_held(view)}")
    return found


def _notes(view: NodeView) -> list[str]:
    """What else steers new meetings to or from it."""
    node, notes = view.node, []
    if node.tags:
        notes.append(f"it is kept for creates with meta_server-tag {' or '.join(node.tags)}")
    if reached := Candidate(node, view.observed, view.load).avoided:
        notes.append(f"it is at its soft limit of {reached} and avoided while others are below theirs: {_held(view)}")
    known = {name.replace("_", " "): limit for name, limit in asdict(node.limits).items() if limit is not None}
    if known:
        notes.append("limits: " + ", ".join(f"{limit} {name}" for name, limit in known.items()))
    return notes


def _common_fault(view: NodeView, found: Iterable[NodeView]) -> list[str]:
    """Why it is not taken for unreachable, where that is so since most nodes fail (core.health)."""
    states = [each.observed for each in found if each.observed is not ObservedState.UNREACHABLE]
    failing = states.count(ObservedState.SUSPECT)
    if view.observed is not ObservedState.SUSPECT or len(states) < 2 or failing * 2 <= len(states):
        return []
    told = f"{failing} of {len(states)} nodes fail together, which is taken for a fault of the balancer's own network"
    return [f"{told}: joins of its meetings go there still"]


def _held(view: NodeView) -> str:
    count = view.load.meetings
    return f"it has {count} meeting{'' if count == 1 else 's'}, and {view.load.people:g} users there or expected"


def _other_digest(ours: str, taken: Collection[str]) -> str:
    """What helps where the secret is right and the digest is not; the balancer never takes a weaker one by itself."""
    return (
        f"it does not take {ours}, in which we sign, but {', '.join(taken)}: allow {ours} there"
        f" (supportedChecksumAlgorithms of bbb-web), or set BALANCER_NODE_CHECKSUM_ALGORITHM to one that all nodes take"
    )


#: What helps, by the reason of an observed state.
_HELP = {
    "dns": "its name does not resolve on the balancer host",
    "connect": "no connection: is it up, and does its firewall let the balancer hosts in?",
    "tls": "no TLS: look at its certificate, its name in it, and BALANCER_NODE_CA_FILE",
    "http": "it does not answer as BBB does: look at bbb-web and nginx there",
    "checksum": "it refuses our signature: compare its secret and its digests (BALANCER_NODE_CHECKSUM_ALGORITHM)",
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
