"""``balancer importer``: the process that imports recordings."""

import click

from balancer.cli.session import Session


@click.group()
def importer() -> None:
    """The process that imports recordings."""


@importer.command()
@click.pass_obj
def run(session: Session) -> None:
    """Import archives from the spool. SIGTERM ends it after the current archive."""
    # Imported here so that the other commands start faster.
    from balancer.importing import importer as process

    process.main(session.settings)
