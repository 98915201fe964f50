"""``balancer importer``: the process that takes recordings in."""

import click

from balancer.cli.session import Session


@click.group()
def importer() -> None:
    """The process that takes recordings in."""


@importer.command()
@click.pass_obj
def run(session: Session) -> None:
    """Take archives from the spool; SIGTERM ends it after the one at hand."""
    # Only this command needs it: the others start faster without.
    from balancer.importing import importer as process

    process.main(session.settings)
