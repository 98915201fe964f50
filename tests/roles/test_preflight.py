"""Preflight stops before it connects to a host, and names the host, the variable and the remedy."""

from __future__ import annotations

from typing import Any

import yaml

from tests.roles.conftest import Fleet


def refusal(fleet: Fleet, **settings: Any) -> str:
    """Preflight's output for these settings as one line; it must refuse them."""
    fleet.settings(**settings)
    run = fleet.run("preflight", machine=False)
    assert run.status != 0
    # No host of the example exists, so a connection would fail with this word.
    assert "UNREACHABLE" not in run.output
    return " ".join(run.output.split())


def edit_hosts(fleet: Fleet, group: str, hosts: dict[str, Any]) -> None:
    """Replace the hosts of a group."""
    path = fleet.inventory / "hosts.yml"
    content = yaml.safe_load(path.read_text())
    content["all"]["children"][group]["hosts"] = hosts
    path.write_text(yaml.safe_dump(content))


def test_a_missing_group(example: Fleet) -> None:
    edit_hosts(example, "cache", {})
    assert "has no host in the group cache" in refusal(example)


def test_a_malformed_inventory(example: Fleet) -> None:
    (example.inventory / "hosts.yml").write_text("all: [not, a, mapping\n")
    assert "has no host in the group storage, or could not be read" in refusal(example)


def test_a_single_node(example: Fleet) -> None:
    edit_hosts(example, "nodes", {"bbb1.example.org": {}})
    assert "The group nodes contains only bbb1.example.org; a pool needs two nodes" in refusal(example)


def test_two_databases(example: Fleet) -> None:
    edit_hosts(example, "database", {"db1.example.org": {}, "db2.example.org": {}})
    assert "The group database contains db1.example.org, db2.example.org" in refusal(example)


def test_a_node_that_balances(example: Fleet) -> None:
    edit_hosts(example, "edge", {"bbb1.example.org": {}})
    assert "bbb1.example.org is in the groups nodes and edge" in refusal(example)


def test_one_host_under_two_names(example: Fleet) -> None:
    twins = {name: {"ansible_host": "192.0.2.7"} for name in ("bbb1.example.org", "bbb2.example.org")}
    edit_hosts(example, "nodes", twins)
    assert "bbb1.example.org and bbb2.example.org are the same host (192.0.2.7)" in refusal(example)


def test_a_misspelt_setting(example: Fleet) -> None:
    said = refusal(example, redis_maxmemroy="1gb")
    assert "no role has a variable redis_maxmemroy" in said
    assert "db1.example.org" in said


def test_all_settings_of_the_wrong_type_are_reported_at_once(example: Fleet) -> None:
    said = refusal(
        example,
        redis_port="many",
        redis_maxmemory_policy="allkeys-lru",
        nfs_client_source_type="cifs",
        postgresql_client_addresses={"a": 1},
    )
    for expected in (
        "redis_port",
        "value of redis_maxmemory_policy must be one of: noeviction",
        "value of nfs_client_source_type must be one of: nfs, bind",
        "postgresql_client_addresses",
    ):
        assert expected in said


def test_all_kinds_of_mistakes_are_reported_at_once(example: Fleet) -> None:
    said = refusal(example, redis_maxmemroy="1gb", postgresql_port="many", redis_password="changeme-changeme-changeme")
    verdict = said[said.index("Nothing was changed.") :]
    for expected in (
        "no role has a variable redis_maxmemroy",
        "postgresql_port",
        "redis_password contains a placeholder",
    ):
        assert expected in verdict


def test_placeholder_secrets(example: Fleet) -> None:
    said = refusal(
        example,
        redis_password="changeme-changeme-changeme",
        postgresql_password="Xk2hG7rWq9LmB4tZ0vNc",
        balancer_secrets=["pT5sD8fJ1gH3kL6zX9cV", "short"],
    )
    for variable in ("redis_password", "balancer_secrets"):
        assert f"{variable} contains a placeholder or fewer than 16 characters" in said
    assert "postgresql_password contains" not in said


def test_no_vault_password(example: Fleet) -> None:
    run = example.run("preflight", options=("--vault-password-file", "/nonexistent"), machine=False)
    assert run.status != 0
    assert "/nonexistent" in run.output
