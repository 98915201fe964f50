"""``balancer database``: the schema."""

import click

from balancer.cli.output import format_option, show
from balancer.cli.session import Session
from balancer.storage.postgresql import schema


@click.group()
def database() -> None:
    """The database's schema."""


@database.command()
@format_option
@click.pass_obj
def migrate(session: Session, form: str) -> None:
    """Apply pending migrations and changed functions, each in a transaction; safe to repeat, even on several hosts."""
    with session.bare_connection() as connection:
        names = schema.migrate(connection)
    show(form, {"changed": bool(names), "applied": names}, [f"applied {name}" for name in names] or ["up to date"])


@database.command()
@format_option
@click.pass_context
def check(context: click.Context, form: str) -> None:
    """Show which migrations and functions are applied and which are pending; exit code 1 if any is pending."""
    session: Session = context.obj
    with session.bare_connection() as connection:
        pending = [migration.name for migration in schema.pending(connection)]
        applied = schema.applied(connection)
    content = {"current": not pending, "applied": applied, "pending": pending}
    show(form, content, [f"pending {name}" for name in pending] or ["up to date"])
    context.exit(1 if pending else 0)
