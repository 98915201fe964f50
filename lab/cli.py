"""`python -m lab`: real hosts on one machine. BBB_FLEET_LAB picks one of several labs."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import click

from lab import acceptance_environment, faults, lifecycle, machines, ssh, state, topology
from lab.errors import LabError


class Commands(click.Group):
    """Prints a LabError as one line; any other exception is a bug and keeps its traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except LabError as error:
            raise click.ClickException(str(error)) from error


@click.group(cls=Commands, help=__doc__)
def main() -> None:
    if os.geteuid() != 0:
        raise LabError("the lab boots hosts and makes a bridge: run it as root")


def counts(command: Callable[..., None]) -> Callable[..., None]:
    """Add an option for each kind of host, such as --nodes, as topology.yml names them."""
    for kind in reversed(list(topology.load().kinds.values())):
        option = click.option(
            f"--{kind.option}",
            kind.name,
            type=click.IntRange(min=0),
            help=f"How many {kind.name} hosts ({', '.join(kind.groups)}); default {kind.count}.",
        )
        command = option(command)
    return command


@main.command()
@click.argument("hosts", nargs=-1)
@counts
@click.option("--nfs", is_flag=True, help="Share the recordings tree by NFS, if possible, even if the kernel has none.")
def up(hosts: tuple[str, ...], nfs: bool, **numbers: int | None) -> None:
    """Bring the lab up: all hosts of topology.yml, or only HOSTS. Existing hosts are not changed."""
    described = topology.load()
    wanted = list(hosts) or described.host_names({kind: n for kind, n in numbers.items() if n is not None})
    lab = lifecycle.up(state.name_from_environment(), wanted, described, nfs=nfs, report=click.echo)
    click.echo(f"inventory: {lab.directory / 'inventory'}")


@main.command()
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text")
def status(form: str) -> None:
    """Show the hosts, their addresses, and whether each runs and answers."""
    found = lifecycle.status(state.name_from_environment())
    if form == "json":
        click.echo(json.dumps(found, indent=2))
        return
    click.echo(f"lab {found['lab']}: subnet {found['subnet'] or '-'}, share {found['share'] or '-'}")
    for host in found["hosts"]:
        click.echo(f"{host['name']:10} {host['address']:15} {host['machine']:7} {host['state']}")


@main.command()
@click.argument("host")
def shell(host: str) -> None:
    """Open a root shell on HOST."""
    lab = state.existing(state.name_from_environment())
    sys.exit(subprocess.run(ssh.command_line(lab, lab.host(host), []), check=False).returncode)


@main.command(name="run", context_settings={"ignore_unknown_options": True})
@click.argument("host")
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def run_command(host: str, command: tuple[str, ...]) -> None:
    """Run COMMAND on HOST as root, with its output and exit status."""
    lab = state.existing(state.name_from_environment())
    sys.exit(subprocess.run(ssh.command_line(lab, lab.host(host), ["--", *command]), check=False).returncode)


@main.command()
@click.argument("host")
def restart(host: str) -> None:
    """Shut HOST down and boot it again."""
    lab = state.existing(state.name_from_environment())
    machines.restart(lab, lab.host(host))


@main.command()
def secret() -> None:
    """Print the front ends' secret, for the acceptance suite."""
    click.echo(acceptance_environment.secret(state.existing(state.name_from_environment())))


@main.command(name="break")
@click.argument("fault")
def break_lab(fault: str) -> None:
    """Inject FAULT, one of lab/faults.yml."""
    faults.inject(state.existing(state.name_from_environment()), fault)


@main.command()
def mend() -> None:
    """Remove all injected faults."""
    for name in faults.mend(state.existing(state.name_from_environment())):
        click.echo(f"mended: {name}")


@main.command()
def down() -> None:
    """Take the lab down and remove everything of it, even if it is half-made."""
    lifecycle.down(state.name_from_environment(), report=click.echo)
