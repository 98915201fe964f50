"""Check secrets and nodes for preflight; the module of the same name documents the interface."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

from ansible.plugins.action import ActionBase

#: Characters. Shorter secrets can be guessed; the balancer refuses them too.
SHORTEST_SECRET = 16
# Short words count only on their own, because a random secret sometimes contains one by chance.
PLACEHOLDER = re.compile(
    r"(change.?me|secret|passwor[dt]|placeholder|example|(?<![a-z0-9])(todo|fixme)(?![a-z0-9])"
    r"|replace.?(me|this)|x{6,}|12345|<.*>)",
    re.IGNORECASE,
)

#: What two nodes never share, and how a copy gets its own.
IDENTITIES = {
    "server_url": ("the server URL", "run bbb-conf --setip with its own name on the copy"),
    "secret": ("the API secret", "run bbb-conf --setsecret with a new secret on the copy"),
    "machine_id": (
        "the machine-id",
        "on the copy remove /etc/machine-id, run systemd-machine-id-setup and restart the host",
    ),
    "ssh_host_keys": (
        "an ssh host key",
        "on the copy remove /etc/ssh/ssh_host_*, run ssh-keygen -A and restart sshd",
    ),
    "tls_keys": ("the TLS certificate", "give the copy a key and a certificate of its own name"),
}

#: What to do about each problem that bbb_api_probe reports.
REMEDIES = {
    "dns": "add the name to DNS or to that host's /etc/hosts",
    "connect": "start the node's nginx and bbb-web, and open its port 443 to the balancer hosts",
    "tls": "renew or correct the node's certificate; for a private authority set base_node_ca_certificate",
    "http": "compare the node's bigbluebutton.web.serverURL with bbb_node_url",
    "xml": "compare the node's bigbluebutton.web.serverURL with bbb_node_url",
    "checksum": "compare securitySalt on the node (bbb-conf --secret) with bbb_node_secret",
}


class ActionModule(ActionBase):  # type: ignore[misc]
    """Runs on the controller; needs no connection to any host."""

    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Fail with all findings at once."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        arguments = self._task.args
        probes = [
            probe | {"host": arguments.get("asked_by", "the controller")}
            for probe in arguments.get("probes", [])
            if not probe.get("skipped")
        ]
        nodes: list[dict[str, Any]] = [
            node | {"probes": [probe for probe in probes if probe["item"] == node["name"]]}
            for node in arguments.get("nodes", [])
        ]
        secrets: dict[str, Any] = arguments.get("secrets", {})
        findings = [
            *weak_secrets(secrets),
            *shared_identities(nodes),
            *mixed_secrets(secrets, nodes),
            *failed_calls(nodes),
            *unsupported_algorithms(nodes, arguments.get("algorithm", "sha256")),
            *wrong_clocks(nodes, float(arguments.get("clock_tolerance", 2.0))),
        ]
        return result | {"findings": findings, "failed": bool(findings), "msg": "\n".join(findings), "changed": False}


def texts(value: Any) -> list[str]:
    """The secrets in a variable that holds one or a list of them."""
    return [str(text) for text in (value if isinstance(value, list) else [value]) if text]


def weak(secret: str) -> bool:
    """Whether a secret is a placeholder or can be guessed."""
    return len(secret) < SHORTEST_SECRET or bool(PLACEHOLDER.search(secret)) or len(set(secret)) < 6


def weak_secrets(secrets: dict[str, Any]) -> Iterator[str]:
    """Report variables whose secret is a placeholder."""
    for variable, value in secrets.items():
        if not texts(value) or any(weak(secret) for secret in texts(value)):
            yield (
                f"{variable} contains a placeholder or fewer than {SHORTEST_SECRET} characters. Remove it from the "
                "inventory, and the next run generates one, or set a random one with ansible-vault."
            )


def _values(node: dict[str, Any], kind: str) -> list[str]:
    if kind == "tls_keys":
        return sorted({probe["tls_key"] for probe in node.get("probes", []) if probe.get("tls_key")})
    value = node.get(kind) or []
    return [value.rstrip("/").lower() if kind == "server_url" else value] if isinstance(value, str) else list(value)


def shared_identities(nodes: Iterable[dict[str, Any]]) -> Iterator[str]:
    """Report nodes that are copies of one another."""
    for kind, (noun, remedy) in IDENTITIES.items():
        holders: dict[str, set[str]] = defaultdict(set)
        for node in nodes:
            for value in _values(node, kind):
                holders[value].add(node["name"])
        for names in sorted({tuple(sorted(holder)) for holder in holders.values() if len(holder) > 1}):
            yield f"{' and '.join(names)} share {noun}: one is a copy of the other. Remedy: {remedy}."


def mixed_secrets(secrets: dict[str, Any], nodes: Iterable[dict[str, Any]]) -> Iterator[str]:
    """Report nodes whose secret is missing, weak or also used by front ends."""
    front_end = texts(secrets.get("balancer_secrets"))
    for node in nodes:
        secret = node.get("secret") or ""
        if not secret or not node.get("url"):
            yield (
                f"{node['name']} has no API {'URL' if secret else 'secret'} in its bbb-web.properties. Run bbb-conf "
                "there, or set bbb_node_url and bbb_node_secret for a node without ssh."
            )
        elif secret in front_end:
            yield (
                f"{node['name']} has the secret that front ends use (balancer_secrets), so a front end could bypass "
                "the balancer. Run bbb-conf --setsecret with a new secret on the node."
            )
        elif weak(secret):
            yield f"{node['name']} has a placeholder as its secret. Run bbb-conf --setsecret with a random one there."


def _probes(nodes: Iterable[dict[str, Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
    for node in nodes:
        for probe in node.get("probes", []):
            yield node["name"], probe


def failed_calls(nodes: Iterable[dict[str, Any]]) -> Iterator[str]:
    """Report nodes whose API did not answer a balancer host correctly."""
    for name, probe in _probes(nodes):
        if probe.get("problem"):
            yield (
                f"{name} does not answer {probe['host']} ({probe['problem']}): {probe['detail']}. "
                f"Remedy: {REMEDIES[probe['problem']]}."
            )


def unsupported_algorithms(nodes: Iterable[dict[str, Any]], algorithm: str) -> Iterator[str]:
    """Report nodes that refuse the checksum algorithm that the balancer uses."""
    for name, probe in _probes(nodes):
        if probe.get("algorithms") and algorithm not in probe["algorithms"]:
            yield (
                f"{name} refuses {algorithm} checksums and accepts {', '.join(probe['algorithms'])}. Set "
                "balancer_node_checksum_algorithm to one that all nodes accept, or extend supportedChecksumAlgorithms."
            )


def wrong_clocks(nodes: Iterable[dict[str, Any]], tolerance: float) -> Iterator[str]:
    """Report nodes with a wrong clock. The tolerance grows by one second, because the Date header has whole seconds."""
    for name, probe in _probes(nodes):
        clock_offset = probe.get("clock_offset")
        if clock_offset is not None and abs(clock_offset) > tolerance + 1:
            yield (
                f"{name}'s clock differs by {clock_offset:+.0f} s from that of {probe['host']}. "
                "Start time synchronisation on it."
            )
