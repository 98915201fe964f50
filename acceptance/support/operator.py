"""What an operator does to the cluster, with the commands of the environment file. Changes are in the undo log."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property

from acceptance.support.environment import Environment
from acceptance.support.eventually import eventually
from acceptance.support.hosts import CommandResult, Hosts, here
from acceptance.support.undo_log import Change, UndoLog

NODE_STATE = "node-state"


@dataclass(frozen=True)
class NodeState:
    """One node as the balancer lists it. Load is in the balancer's unit, age in seconds."""

    name: str
    url: str
    admin_state: str
    observed_state: str
    reason: str
    load: float | None
    snapshot_age: float | None
    bbb_version: str

    @property
    def takes_meetings(self) -> bool:
        """True if the node is enabled and online."""
        return self.admin_state == "enabled" and self.observed_state == "online"

    @property
    def summary(self) -> str:
        """Its state in a few words, for messages."""
        reason = f" ({self.reason})" if self.reason else ""
        return f"{self.name} is {self.admin_state} and {self.observed_state}{reason}"


class Operator:
    """Lists nodes, changes and restores their states, restarts hosts."""

    def __init__(self, environment: Environment, hosts: Hosts, undo_log: UndoLog) -> None:
        self._environment = environment
        self._hosts = hosts
        self._undo_log = undo_log

    def nodes(self) -> list[NodeState]:
        """Every node that the balancer knows; AssertionError if the command fails or prints no such list."""
        result = self._run(self._environment.operator.node_list).succeeded()
        try:
            content = json.loads(result.output)
            assert content["version"] == 1, f"node_list prints version {content['version']}, this suite reads version 1"
            return [_node_state(item) for item in content["nodes"]]
        except (json.JSONDecodeError, KeyError, TypeError) as error:
            raise AssertionError(
                f"node_list on {result.host} does not print the list of nodes as JSON: {error}"
            ) from error

    def node(self, name: str) -> NodeState:
        """The state of one node; AssertionError if the balancer does not know it."""
        found = [state for state in self.nodes() if state.name == name]
        assert found, f"the balancer does not know node {name}"
        return found[0]

    def set_state(self, name: str, state: str, *, within: float = 0.0) -> None:
        """Enables, drains or disables a node; its former state is in the undo log before that.

        within: seconds in which the command may still fail. It does while a meeting that has just ended is counted.
        """
        self._undo_log.will_change(NODE_STATE, name, self.node(name).admin_state)
        eventually(
            lambda: self._command(name, state),
            lambda result: result.ok,
            within=within,
            otherwise=lambda result: result.summary,
        )

    def changed(self) -> frozenset[str]:
        """Names of the nodes whose former state is not restored yet."""
        return frozenset(change.name for change in self._undo_log.pending(NODE_STATE))

    def restore(self, *, except_for: Collection[str] = ()) -> list[str]:
        """Restores the former state of every changed node except the given ones; returns one line for each.

        All of them are tried. AssertionError then names each that could not be restored, and why.
        """
        done, errors = [], []
        for change in self._undo_log.pending(NODE_STATE):
            if change.name in except_for:
                continue
            try:
                done.append(self._restore(change))
            except AssertionError as error:
                errors.append(f"node {change.name} could not be restored to {change.before}: {error}")
        assert not errors, "; ".join(errors)
        return done

    def _restore(self, change: Change) -> str:
        result = self._command(change.name, change.before)
        # If an operator has removed the node since, there is nothing to restore.
        if known := result.ok or change.name in {state.name for state in self.nodes()}:
            result.succeeded()
        self._undo_log.undone(NODE_STATE, change.name)
        return f"node {change.name} is {f'{change.before} again' if known else 'no longer known to the balancer'}"

    def restart_host(self, host: str) -> None:
        """Restarts a host; returns when it answers again."""
        self._run(self._environment.operator.host_restart, here_only=True, host=host).succeeded()

    def queue_lines(self, record_id: str) -> list[str]:
        """The lines about one recording in the balancer's queue of recordings."""
        result = self._run(self._environment.operator.recording_queue)
        return [" ".join(line.split()) for line in result.output.splitlines() if record_id in line]

    @cached_property
    def balancer_version(self) -> str:
        """What the version command prints; if that is a path, its last element."""
        result = self._run(self._environment.operator.version)
        return result.output.strip().rsplit("/", 1)[-1] if result.ok else f"unknown: {result.errors.strip()}"

    def _command(self, name: str, state: str) -> CommandResult:
        commands = self._environment.operator
        command = {
            "enabled": commands.node_enable,
            "draining": commands.node_drain,
            "disabled": commands.node_disable,
        }[state]
        return self._run(command, node=name)

    def _run(self, command: tuple[str, ...], *, here_only: bool = False, **fill: str) -> CommandResult:
        fill["inventory"] = str(self._environment.inventory or "")
        filled = [_fill(part, fill) for part in command]
        run_on = self._environment.operator.run_on
        if here_only or run_on == "controller":
            return here(filled, self._environment)
        return self._hosts.group(run_on)[0].run(*filled)


def _fill(part: str, fill: dict[str, str]) -> str:
    # str.format would fail on other braces, such as those of awk or JSON.
    for name, value in fill.items():
        part = part.replace("{" + name + "}", value)
    return part


def _node_state(item: dict[str, object]) -> NodeState:
    def number(key: str) -> float | None:
        value = item.get(key)
        return float(value) if isinstance(value, int | float) else None

    return NodeState(
        name=str(item["name"]),
        url=str(item["url"]),
        admin_state=str(item["admin_state"]),
        observed_state=str(item["observed_state"]),
        reason=str(item.get("reason") or ""),
        load=number("load"),
        snapshot_age=number("snapshot_age"),
        bbb_version=str(item.get("bbb_version") or ""),
    )
