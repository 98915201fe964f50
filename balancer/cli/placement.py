"""``balancer placement explain``: where a new meeting would go now, and why not elsewhere."""

from collections.abc import Iterable
from typing import Any

import click

from balancer.cli.output import format_option, show, table
from balancer.cli.session import Session
from balancer.core.meetings import Wanted
from balancer.core.node_tags import Pool
from balancer.core.parameters import Parameters
from balancer.core.selection import Candidate, unplaced
from balancer.storage.outlook import read_outlook
from balancer.storage.postgresql.placement import choose

#: Parts of a load: a score is their sum and the users of the new meeting, over the node's weight.
_PARTS = ("users", "filling", "reserved", "video")


@click.group()
def placement() -> None:
    """Where new meetings go."""


@placement.command()
@click.option("--tag", default="", help="As in meta_server-tag: 'a', 'a;b', or with a '!' at the end.")
@format_option
@click.pass_obj
def explain(session: Session, tag: str, form: str) -> None:
    """Show where a new meeting would go: every node's score, its parts, and why it would be taken or not.

    Nothing is changed. A score is the users seen, the users expected in young meetings ("filling") and in meetings that
    no poll has seen yet ("reserved"), what webcams weigh, and the users expected in the new meeting, all over the
    node's weight. The node with the lowest score is taken.
    """
    wanted = Wanted(tenant_id=0, meeting_id="", parameters=Parameters.of([("meta_server-tag", tag)]))
    snapshots = session.snapshots()
    with session.transaction() as connection:
        outlook = read_outlook(connection, snapshots, session.settings)
        decision = choose(connection, wanted, (), outlook, session.settings)
    expected = session.settings.expected_users  # in a room without a history
    chosen = decision.chosen.name if decision.chosen else None
    verdict = (
        f"a meeting of {expected} users would go to {chosen}"
        if chosen
        else str(unplaced(decision.candidates, Pool.parse(tag)))
    )
    nodes = [_public(each, chosen) for each in decision.candidates]
    content = {"tag": tag, "expected_users": expected, "chosen": chosen, "verdict": verdict, "nodes": nodes}
    show(form, content, [*_lines(nodes), "", verdict])


def _public(each: Candidate, chosen: str | None) -> dict[str, Any]:
    return {
        "name": each.node.name,
        "taken": each.node.name == chosen,
        "score": round(each.score, 2),
        **{part: round(getattr(each.load, part), 2) for part in _PARTS},
        "weight": each.node.weight,
        "meetings": each.load.meetings,
        "tags": list(each.node.tags),
        "observed_state": each.observed.value,
        "reason": _reason(each, chosen),
    }


def _reason(each: Candidate, chosen: str | None) -> str:
    if each.node.name == chosen:
        return "taken"
    if each.refusal:
        return f"not taken: {each.refusal}"
    if each.avoided:
        return f"not taken: at its soft limit of {each.avoided}"
    return "not taken: another node ranks higher"


def _lines(nodes: Iterable[dict[str, Any]]) -> list[str]:
    head = ("NODE", "SCORE", *(part.upper() for part in _PARTS), "WEIGHT", "MEETINGS", "TAGS", "WHY")
    rows = [
        (
            each["name"],
            each["score"],
            *(each[part] for part in _PARTS),
            each["weight"],
            each["meetings"],
            " ".join(each["tags"]),
            each["reason"],
        )
        for each in nodes
    ]
    return table(head, rows, "no nodes: `balancer node add`")
