"""The cluster's hosts, reached over ssh as Ansible reaches them, by the groups of the inventory."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from testinfra.utils.ansible_runner import AnsibleRunner

from acceptance.support.environment import Environment
from acceptance.support.outcomes import NotProved

#: Groups of the inventory, as in inventory.example.
GROUPS = ("storage", "database", "cache", "balancer", "edge", "nodes")


#: Status of a command that was given up.
HANGS = 124
PATIENTLY = f"""
"$@" >/dev/null 2>&1 & p=$! n=0
while kill -0 "$p" 2>/dev/null; do
    n=$((n + 1))
    if [ "$n" -gt 50 ]; then kill -9 "$p"; exit {HANGS}; fi
    sleep 0.2
done
wait "$p"
"""


@dataclass(frozen=True)
class Seen:
    """What a command said on one host."""

    host: str
    status: int
    output: str
    errors: str

    @property
    def ok(self) -> bool:
        """True for exit status 0."""
        return self.status == 0

    @property
    def words(self) -> str:
        """Host and error text, for messages."""
        return f"{self.host}: {(self.errors or self.output).strip()[-400:]}"

    def succeeded(self) -> Seen:
        """Itself if the command succeeded; AssertionError with its words otherwise."""
        assert self.ok, self.words
        return self


class Host:
    """One host of the inventory. Commands run as root, through sudo where the inventory's user is another."""

    def __init__(self, name: str, connection: Any) -> None:
        self.name = name
        self.connection = connection

    def run(self, *command: str) -> Seen:
        """Runs an argument list; a host that cannot be reached is a failure that names it."""
        command = (*self._become, *command)
        try:
            done = self.connection.run(" ".join(["%s"] * len(command)), *command)
        except RuntimeError as error:
            raise AssertionError(f"{self.name} cannot be reached over ssh: {error}") from error
        return Seen(self.name, done.rc, done.stdout, done.stderr)

    @cached_property
    def _become(self) -> tuple[str, ...]:
        try:
            return () if self.connection.check_output("id -u") == "0" else ("sudo", "-n", "--")
        except (RuntimeError, AssertionError) as error:
            raise AssertionError(f"{self.name} cannot be reached over ssh: {error}") from error

    def shell(self, script: str, *arguments: str) -> Seen:
        """Runs a shell script with arguments as $1, $2, …, for the few checks that need a pipe or redirection."""
        return self.run("sh", "-c", script, "sh", *arguments)

    def patiently(self, *command: str) -> Seen:
        """Runs a command without output that may hang, as on a share whose server is away: status HANGS then.

        It is left alone after ten seconds and not waited for: such a process may not even end when it is killed.
        """
        return self.shell(PATIENTLY, *command)

    def as_user(self, user: str, script: str, *arguments: str) -> Seen:
        """Runs a shell script as another user, to try what that user may really do."""
        return self.run("runuser", "-u", user, "--", "sh", "-c", script, "sh", *arguments)


class Hosts:
    """Every host of the inventory that the environment file names; NotProved where it names none."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._named: dict[str, Host] = {}

    @property
    def known(self) -> bool:
        """True if there is an inventory at all."""
        return self._environment.inventory is not None

    @cached_property
    def _runner(self) -> AnsibleRunner:
        if self._environment.inventory is None:
            raise NotProved(f"{self._environment.path.name} names no inventory, so no host can be looked at")
        if self._environment.vault_password_file:
            os.environ["ANSIBLE_VAULT_PASSWORD_FILE"] = str(self._environment.vault_password_file)
        return AnsibleRunner(str(self._environment.inventory))

    def names(self, group: str) -> list[str]:
        """Names of the hosts in a group."""
        return list(self._runner.get_hosts(group))

    def named(self, name: str) -> Host:
        """One host by its inventory name."""
        if name not in self._named:
            connection = self._runner.get_host(name)
            if connection is None:
                raise NotProved(f"{name}: only hosts that the inventory reaches by ssh can be looked at")
            self._named[name] = Host(name, connection)
        return self._named[name]

    def group(self, group: str) -> list[Host]:
        """The hosts of a group; NotProved if there are none."""
        names = self.names(group)
        if not names:
            raise NotProved(f"the inventory has no host in group {group}")
        return [self.named(name) for name in names]

    def variable(self, host: str, name: str, default: str = "") -> str:
        """A variable of a host as the inventory gives it, rendered as text."""
        return str(self._runner.get_variables(host).get(name, default))

    def address(self, name: str) -> str:
        """The address or name under which Ansible reaches a host."""
        return self.variable(name, "ansible_host", name)


def here(command: Sequence[str], environment: Environment, *, timeout: float = 600) -> Seen:
    """Runs an argument list on this machine, in the environment file's directory."""
    try:
        done = subprocess.run(
            command, cwd=environment.path.parent, capture_output=True, text=True, timeout=timeout, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise AssertionError(f"{command[0]}: {error}") from error
    return Seen("this machine", done.returncode, done.stdout, done.stderr)
