"""``balancer poller``: the process that polls the nodes."""

from contextlib import suppress

import click

from balancer.cli.session import Session
from balancer.errors import StorageUnavailableError


@click.group()
def poller() -> None:
    """The process that polls the nodes."""


@poller.command()
@click.pass_obj
def run(session: Session) -> None:
    """Poll while this process holds the lease. SIGTERM ends it cleanly."""
    # Refuse a database without our tables here: later it would be a traceback. The loop waits for one that is away.
    with suppress(StorageUnavailableError), session.transaction():
        pass
    # Imported here so that the other commands start faster.
    from balancer.polling import loop as process

    process.main(session.settings)
