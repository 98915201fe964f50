"""Preflight's findings: each names the host, the problem and the remedy; correct nodes have none."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

PLUGIN = Path(__file__).resolve().parents[2] / "plugins" / "action" / "preflight_verdict.py"
spec = importlib.util.spec_from_file_location("preflight_verdict", PLUGIN)
assert spec
assert spec.loader
verdict = importlib.util.module_from_spec(spec)
spec.loader.exec_module(verdict)

SECRETS = {"bbb1": "Qm3xT8vLp2Wd9KfR6hZs", "bbb2": "Yc7nB4jGt1Xe5VuA0wMo"}


def node(name: str, **values: Any) -> dict[str, Any]:
    """A correct node, with the given values replaced."""
    correct = {
        "name": name,
        "url": f"https://{name}.example.org/bigbluebutton/api",
        "server_url": f"https://{name}.example.org",
        "secret": SECRETS[name],
        "machine_id": f"id-of-{name}",
        "ssh_host_keys": [f"SHA256:{name}-rsa", f"SHA256:{name}-ed25519"],
        "probes": [probe(tls_key=f"certificate-of-{name}")],
    }
    return correct | values


def probe(**values: Any) -> dict[str, Any]:
    """lb1's probe of a correct node, with the given values replaced."""
    correct = {"host": "lb1", "problem": "", "detail": "", "algorithms": ["sha1", "sha256"], "clock_offset": 0.3}
    return correct | values


def findings(*nodes: dict[str, Any], front_end: str = "pT5sD8fJ1gH3kL6zX9cV") -> list[str]:
    """All findings about these nodes."""
    return [
        *verdict.shared_identities(nodes),
        *verdict.mixed_secrets({"balancer_secrets": [front_end]}, nodes),
        *verdict.failed_calls(nodes),
        *verdict.unsupported_algorithms(nodes, "sha256"),
        *verdict.wrong_clocks(nodes, 2.0),
    ]


def test_correct_nodes_have_no_finding() -> None:
    assert findings(node("bbb1"), node("bbb2")) == []


@pytest.mark.parametrize(
    ("shared", "words"),
    [
        ({"server_url": "https://bbb1.example.org/"}, "share the server URL"),
        ({"secret": SECRETS["bbb1"]}, "share the API secret"),
        ({"machine_id": "id-of-bbb1"}, "share the machine-id"),
        ({"ssh_host_keys": ["SHA256:bbb1-rsa", "SHA256:another"]}, "share an ssh host key"),
        ({"probes": [probe(tls_key="certificate-of-bbb1")]}, "share the TLS certificate"),
    ],
)
def test_a_copy_is_reported_with_what_it_copied(shared: dict[str, Any], words: str) -> None:
    found = findings(node("bbb1"), node("bbb2", **shared))
    assert len(found) == 1
    assert found[0].startswith(f"bbb1 and bbb2 {words}")
    assert "Remedy: " in found[0]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"secret": ""}, "bbb2 has no API secret"),
        ({"url": ""}, "bbb2 has no API URL"),
        ({"secret": "changeme-changeme-1"}, "bbb2 has a placeholder as its secret"),
        ({"secret": "pT5sD8fJ1gH3kL6zX9cV"}, "bbb2 has the secret that front ends use"),
        ({"probes": [probe(problem="checksum", detail="refused")]}, "bbb2 does not answer lb1 (checksum)"),
        ({"probes": [probe(algorithms=["sha1"])]}, "bbb2 refuses sha256 checksums and accepts sha1"),
        ({"probes": [probe(clock_offset=-95.0)]}, "bbb2's clock differs by -95 s from that of lb1"),
    ],
)
def test_a_node_with_a_problem_is_reported(values: dict[str, Any], words: str) -> None:
    found = findings(node("bbb1"), node("bbb2", **values))
    assert len(found) == 1
    assert found[0].startswith(words)


@pytest.mark.parametrize("problem", ["dns", "connect", "tls", "http", "xml", "checksum"])
def test_every_problem_has_a_remedy(problem: str) -> None:
    assert "Remedy: " in findings(node("bbb1", probes=[probe(problem=problem)]))[0]


def test_no_finding_repeats_a_secret() -> None:
    nodes = [node("bbb1"), node("bbb2", secret=SECRETS["bbb1"])]
    assert not any(SECRETS["bbb1"] in finding for finding in findings(*nodes, front_end=SECRETS["bbb1"]))


def test_nodes_without_ssh_are_not_taken_for_copies() -> None:
    bare = {"machine_id": "", "ssh_host_keys": []}
    assert findings(node("bbb1", **bare), node("bbb2", **bare)) == []


@pytest.mark.parametrize(
    "secret",
    ["", "short", "password-of-the-fleet", "1212121212121212", "<your-secret-goes-here>", "TODO-make-a-new-one"],
)
def test_placeholders_are_recognised(secret: str) -> None:
    assert len(list(verdict.weak_secrets({"redis_password": secret}))) == 1


def test_a_random_secret_is_no_placeholder() -> None:
    assert list(verdict.weak_secrets({"redis_password": "k7RtoDo2mQ9xWfixMe4bZ1"})) == []
    assert list(verdict.weak_secrets({"balancer_secrets": list(SECRETS.values())})) == []
