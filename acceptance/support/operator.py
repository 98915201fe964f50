"""What an operator does to the cluster, with the commands of the environment file; the journal knows every change."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property

from acceptance.support.environment import Environment
from acceptance.support.eventually import eventually
from acceptance.support.hosts import Hosts, Seen, here
from acceptance.support.journal import Change, Journal

NODE_STATE = "node-state"


@dataclass(frozen=True)
class NodeState:
    """One node as the balancer's own list shows it. Load is in the balancer's unit, age in seconds."""

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
        """True if the operator wants it and the balancer sees it."""
        return self.admin_state == "enabled" and self.observed_state == "online"

    @property
    def words(self) -> str:
        """Its state in a few words, for messages."""
        because = f" ({self.reason})" if self.reason else ""
        return f"{self.name} is {self.admin_state} and {self.observed_state}{because}"


class Operator:
    """The operator's hands: lists nodes, changes their state, restarts hosts, and puts things back."""

    def __init__(self, environment: Environment, hosts: Hosts, journal: Journal) -> None:
        self._environment = environment
        self._hosts = hosts
        self._journal = journal

    def nodes(self) -> list[NodeState]:
        """Every node that the balancer knows; AssertionError if the command fails or prints something else."""
        seen = self._run(self._environment.operator.node_list).succeeded()
        try:
            content = json.loads(seen.output)
            assert content["version"] == 1, f"node_list prints version {content['version']}, this suite reads version 1"
            return [_node_state(item) for item in content["nodes"]]
        except (json.JSONDecodeError, KeyError, TypeError) as error:
            raise AssertionError(
                f"node_list on {seen.host} does not print the list of nodes as JSON: {error}"
            ) from error

    def node(self, name: str) -> NodeState:
        """One node of that list; AssertionError if the balancer does not know it."""
        found = [state for state in self.nodes() if state.name == name]
        assert found, f"the balancer does not know node {name}"
        return found[0]

    def set_state(self, name: str, state: str, *, within: float = 0.0) -> None:
        """Enables, drains or disables a node, after noting its present state in the journal.

        within: seconds in which the command may go on refusing, as it does while a meeting that has just ended is
        still counted.
        """
        self._journal.will_change(NODE_STATE, name, self.node(name).admin_state)
        eventually(
            lambda: self._command(name, state), lambda seen: seen.ok, within=within, otherwise=lambda seen: seen.words
        )

    def changed(self) -> frozenset[str]:
        """Names of the nodes whose former state is still to be given back to them."""
        return frozenset(change.name for change in self._journal.pending(NODE_STATE))

    def put_back(self, *, leaving: Collection[str] = ()) -> list[str]:
        """Gives every changed node but those of `leaving` its former state; one line for each, for the report.

        One that cannot be put back keeps no other waiting; AssertionError then names each of them.
        """
        done, troubles = [], []
        for change in self._journal.pending(NODE_STATE):
            if change.name in leaving:
                continue
            try:
                done.append(self._put_back(change))
            except AssertionError as error:
                troubles.append(f"node {change.name} could not be put back to {change.before}: {error}")
        assert not troubles, "; ".join(troubles)
        return done

    def _put_back(self, change: Change) -> str:
        seen = self._command(change.name, change.before)
        # An operator may have removed it meanwhile: then nobody waits for its state.
        if known := seen.ok or change.name in {state.name for state in self.nodes()}:
            seen.succeeded()
        self._journal.put_back(NODE_STATE, change.name)
        words = f"{change.before} again" if known else "no longer known to the balancer"
        return f"node {change.name} is {words}"

    def restart_host(self, host: str) -> None:
        """Brings a host down and up again; returns when it answers."""
        self._run(self._environment.operator.host_restart, here_only=True, host=host).succeeded()

    def queue_says(self, record_id: str) -> list[str]:
        """The lines of the balancer's queue of recordings that are about one recording."""
        seen = self._run(self._environment.operator.recording_queue)
        return [" ".join(line.split()) for line in seen.output.splitlines() if record_id in line]

    @cached_property
    def balancer_version(self) -> str:
        """What the version command prints, or its last path element."""
        seen = self._run(self._environment.operator.version)
        return seen.output.strip().rsplit("/", 1)[-1] if seen.ok else f"unknown: {seen.errors.strip()}"

    def _command(self, name: str, state: str) -> Seen:
        commands = self._environment.operator
        command = {
            "enabled": commands.node_enable,
            "draining": commands.node_drain,
            "disabled": commands.node_disable,
        }[state]
        return self._run(command, node=name)

    def _run(self, command: tuple[str, ...], *, here_only: bool = False, **fill: str) -> Seen:
        fill["inventory"] = str(self._environment.inventory or "")
        filled = [_fill(part, fill) for part in command]
        run_on = self._environment.operator.run_on
        if here_only or run_on == "controller":
            return here(filled, self._environment)
        return self._hosts.group(run_on)[0].run(*filled)


def _fill(part: str, fill: dict[str, str]) -> str:
    # Not str.format: braces that are no placeholder of ours (awk, JSON) stay as they are.
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
