"""Mistakes that a worker makes on request, to prove that the schedules find them."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import timedelta
from typing import Any
from unittest.mock import patch

from balancer.core.reconciliation import Findings, MeetingRow, NodeListing, compare
from balancer.storage.postgresql.reconciliation import Outcome, reconcile
from tests.unit.core.mistakes import end_whatever_has_the_name, settle_whatever_the_operator_wants

#: Longer than a poll.
_MUCH = timedelta(minutes=1)


def make(name: str) -> None:
    """Make the mistake in this process from now on; none if the name is empty."""
    if name:
        for place, mistake in _MISTAKES[name].items():
            patch(place, mistake).start()


def _reconcile_at_any_time(database: Any, listing: NodeListing, *, create_grace: timedelta) -> Outcome:
    later = replace(listing, poll_started=listing.poll_started + _MUCH)
    return reconcile(database, later, create_grace=create_grace + _MUCH)


def _never_doubt(rows: Iterable[MeetingRow], listing: NodeListing, *, create_grace: timedelta) -> Findings:
    found = compare(rows, listing, create_grace=create_grace)
    return replace(found, ended=found.ended + found.doubtful, doubtful=[])


_MISTAKES: dict[str, dict[str, Callable[..., object]]] = {
    "settles whatever the operator wants": {
        "balancer.storage.postgresql.create_outcome.settle": settle_whatever_the_operator_wants
    },
    "ends what was created after the poll began": {
        "balancer.storage.postgresql.reconciliation.reconcile": _reconcile_at_any_time,
        "balancer.storage.postgresql.reconciliation.compare": _never_doubt,
    },
    "ends whatever has the name": {"balancer.cli.meeting_end.end_at": end_whatever_has_the_name},
}
