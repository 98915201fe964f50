"""``balancer poller``: the process that watches the nodes."""

import click

from balancer.cli.session import Session


@click.group()
def poller() -> None:
    """The process that watches the nodes."""


@poller.command()
@click.pass_obj
def run(session: Session) -> None:
    """Poll while this process holds the lease; SIGTERM ends it cleanly."""
    # Only this command needs it: the others start faster without.
    from balancer import poller as process

    process.main(session.settings)
