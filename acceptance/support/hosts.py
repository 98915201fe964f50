"""The hosts of the inventory, reached over ssh as Ansible does."""

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
#: bash opens the connection itself, so no tool has to be installed.
CONNECT = 'timeout 5 bash -c "exec 3<>/dev/tcp/$1/$2"'
#: Exit status that stands for a command that did not end in time.
HANGS = 124
RUN_OR_HANG = f"""
"$@" >/dev/null 2>&1 & p=$! n=0
while kill -0 "$p" 2>/dev/null; do
    n=$((n + 1))
    if [ "$n" -gt 50 ]; then kill -9 "$p"; exit {HANGS}; fi
    sleep 0.2
done
wait "$p"
"""


@dataclass(frozen=True)
class CommandResult:
    """Exit status and output of a command on one host."""

    host: str
    status: int
    output: str
    errors: str

    @property
    def ok(self) -> bool:
        """True for exit status 0."""
        return self.status == 0

    @property
    def summary(self) -> str:
        """Host and the end of its error text, for messages."""
        return f"{self.host}: {(self.errors or self.output).strip()[-400:]}"

    def succeeded(self) -> CommandResult:
        """Itself if the command succeeded; AssertionError with its summary otherwise."""
        assert self.ok, self.summary
        return self


class Host:
    """One host of the inventory. Commands run as root, through sudo if Ansible logs in as another user."""

    def __init__(self, name: str, connection: Any) -> None:
        self.name = name
        self.connection = connection

    def run(self, *command: str) -> CommandResult:
        """Runs an argument list; AssertionError if the host cannot be reached."""
        command = (*self._become, *command)
        try:
            done = self.connection.run(" ".join(["%s"] * len(command)), *command)
        except RuntimeError as error:
            raise AssertionError(f"{self.name} cannot be reached over ssh: {error}") from error
        return CommandResult(self.name, done.rc, done.stdout, done.stderr)

    @cached_property
    def _become(self) -> tuple[str, ...]:
        try:
            return () if self.connection.check_output("id -u") == "0" else ("sudo", "-n", "--")
        except (RuntimeError, AssertionError) as error:
            raise AssertionError(f"{self.name} cannot be reached over ssh: {error}") from error

    def shell(self, script: str, *arguments: str) -> CommandResult:
        """Runs a shell script with arguments as $1, $2, …, for the few checks that need a pipe or redirection."""
        return self.run("sh", "-c", script, "sh", *arguments)

    def run_or_hang(self, *command: str) -> CommandResult:
        """Runs a command that may hang, such as on a share whose server is down; its output is discarded.

        After ten seconds the result's status is HANGS. The process is killed but not waited for, because a process
        that waits for NFS may not end even then.
        """
        return self.shell(RUN_OR_HANG, *command)

    def as_user(self, user: str, script: str, *arguments: str) -> CommandResult:
        """Runs a shell script as another user, to try what that user may really do."""
        return self.run("runuser", "-u", user, "--", "sh", "-c", script, "sh", *arguments)

    def reaches(self, address: str, port: str) -> bool:
        """True if a TCP connection from this host opens; a packet that is dropped counts as refused."""
        return self.shell(CONNECT, address, port).ok


class Hosts:
    """Every host of the environment file's inventory; NotProved if the file names no inventory."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._named: dict[str, Host] = {}

    @property
    def known(self) -> bool:
        """True if the environment file names an inventory."""
        return self._environment.inventory is not None

    @cached_property
    def _runner(self) -> AnsibleRunner:
        if self._environment.inventory is None:
            raise NotProved(f"{self._environment.path.name} names no inventory, so hosts cannot be checked")
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
                raise NotProved(f"{name}: only hosts that the inventory reaches over ssh can be checked")
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


def here(command: Sequence[str], environment: Environment, *, timeout: float = 600) -> CommandResult:
    """Runs an argument list on this machine, in the environment file's directory."""
    try:
        done = subprocess.run(
            command, cwd=environment.path.parent, capture_output=True, text=True, timeout=timeout, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise AssertionError(f"{command[0]}: {error}") from error
    return CommandResult("this machine", done.returncode, done.stdout, done.stderr)
