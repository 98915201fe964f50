"""``balancer poller``: the process that watches the nodes."""

from contextlib import suppress

import click

from balancer.cli.session import Session
from balancer.errors import StorageUnavailableError


@click.group()
def poller() -> None:
    """The process that watches the nodes."""


@poller.command()
@click.pass_obj
def run(session: Session) -> None:
    """Poll while this process holds the lease; SIGTERM ends it cleanly."""
    # A database that is away is waited for; one without our tables would only be a traceback later.
    with suppress(StorageUnavailableError), session.transaction():
        pass
    # Only this command needs it: the others start faster without.
    from balancer.polling import loop as process

    process.main(session.settings)
