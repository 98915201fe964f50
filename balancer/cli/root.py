"""The command group, and the one place that turns errors into exit codes."""

from typing import IO, Any

import click

from balancer import __version__
from balancer.cli.database import database
from balancer.cli.importer import importer
from balancer.cli.meeting import meeting
from balancer.cli.node import node
from balancer.cli.output import printable
from balancer.cli.placement import placement
from balancer.cli.poller import poller
from balancer.cli.recording import recording
from balancer.cli.session import Session
from balancer.cli.settings import settings
from balancer.errors import BalancerError, SettingsError, StorageUnavailableError

EPILOG = """\b
Exit codes:
  0  done, or nothing to do
  1  refused, or not found; for `database check`: migrations are pending
  2  wrong usage
  3  settings are missing, malformed or unknown
  4  PostgreSQL or Redis cannot be used right now
"""


class Refusal(click.ClickException):
    """One line on standard error."""

    exit_code = 1

    def show(self, file: IO[Any] | None = None) -> None:
        click.echo(f"balancer: {printable(self.message)}", file=file, err=file is None)


class BadSettings(Refusal):
    exit_code = 3


class StoresAway(Refusal):
    exit_code = 4


class Root(click.Group):
    """Turns our own errors into one line and an exit code. Any other error is a bug and shows its traceback."""

    def invoke(self, context: click.Context) -> object:
        try:
            return super().invoke(context)
        except SettingsError as error:
            raise BadSettings(str(error)) from error
        except StorageUnavailableError as error:
            raise StoresAway(f"{error}{_cause(error)}{_remedy(error)}") from error
        except BalancerError as error:
            raise Refusal(str(error)) from error


def _cause(error: StorageUnavailableError) -> str:
    """The first line of the driver's message: it names host, database and user, never a password."""
    lines = str(error.__cause__ or "").strip().splitlines()
    return f": {lines[0]}" if lines else ""


def _remedy(error: StorageUnavailableError) -> str:
    store, _, _ = str(error).partition(":")
    setting = {"PostgreSQL": "BALANCER_DATABASE_URL", "Redis": "BALANCER_REDIS_URL"}.get(store)
    return f". Check that {store} runs, has free disk space, and is where {setting} says" if setting else ""


@click.group(cls=Root, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="balancer")
@click.pass_context
def balancer(context: click.Context) -> None:
    """Run a pool of BigBlueButton servers as if it were one.

    Every command accepts --format text (for people) or json (for machines: an object whose first key is "version").
    """
    context.obj = Session()
    context.call_on_close(context.obj.close)


for noun in (database, importer, meeting, node, placement, poller, recording, settings):
    balancer.add_command(noun)
