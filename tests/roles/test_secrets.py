"""The first stage generates each secret once and never shows one."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from tests.roles.conftest import Fleet, copy_of_the_example, vault

NAMES = {"base_ca_key", "base_ca_certificate", "postgresql_password", "redis_password", "balancer_secrets"}


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Fleet:
    """The example inventory after one verbose run."""
    fleet = copy_of_the_example(tmp_path_factory.mktemp("first"))
    run = fleet.run("secrets", options=("-vvv", "--diff"), machine=False)
    assert run.status == 0, run.output
    fleet.shown = run.output
    return fleet


@pytest.fixture
def completed(first: Fleet, tmp_path: Path) -> Fleet:
    """A copy of it that a test may change."""
    shutil.copytree(first.inventory, tmp_path / "inventory")
    return Fleet(tmp_path / "inventory")


def rewrite(fleet: Fleet, secrets: dict[str, Any]) -> None:
    """Replace the contents of the vault file."""
    fleet.vault_file.write_bytes(vault().encrypt(yaml.safe_dump(secrets).encode()))


def test_the_first_run_generates_all_secrets(first: Fleet) -> None:
    generated = first.secrets()
    assert generated.keys() == NAMES
    assert first.vault_file.read_bytes().startswith(b"$ANSIBLE_VAULT;1.1;AES256")
    assert first.vault_file.stat().st_mode & 0o777 == 0o600
    passwords = [generated["postgresql_password"], generated["redis_password"], *generated["balancer_secrets"]]
    assert len(set(passwords)) == 3
    assert all(len(password) >= 32 and password.isalnum() for password in passwords)


def test_the_authority_signs_with_the_key_beside_it(first: Fleet) -> None:
    certificate = x509.load_pem_x509_certificate(first.secrets()["base_ca_certificate"].encode())
    key = load_pem_private_key(first.secrets()["base_ca_key"].encode(), None)
    assert key.public_key() == certificate.public_key()
    assert certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca


def test_a_second_run_changes_nothing(completed: Fleet) -> None:
    before = completed.vault_file.read_bytes()
    again = completed.run("secrets")
    assert (again.status, again.changed) == (0, {})
    assert completed.vault_file.read_bytes() == before


def test_only_a_missing_secret_is_generated(completed: Fleet) -> None:
    before = completed.secrets()
    rewrite(completed, {name: value for name, value in before.items() if name != "redis_password"} | {"mine": "kept"})
    assert completed.run("secrets").status == 0
    after = completed.secrets()
    assert after.pop("redis_password") != before.pop("redis_password")
    assert after == before | {"mine": "kept"}


def test_a_secret_that_the_operator_set_is_not_generated(example: Fleet) -> None:
    example.settings(redis_password="Xk2hG7rWq9LmB4tZ0vNc")
    assert example.run("secrets").status == 0
    assert example.secrets().keys() == NAMES - {"redis_password"}


def test_no_secret_is_shown(first: Fleet) -> None:
    generated = first.secrets()
    for secret in [generated["postgresql_password"], generated["redis_password"], *generated["balancer_secrets"]]:
        assert secret not in first.shown
    assert generated["base_ca_key"].splitlines()[1] not in first.shown


def test_a_check_writes_nothing(example: Fleet) -> None:
    assert example.run("secrets", options=("--check",)).status == 0
    assert not example.vault_file.exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"redis_password: plain text of the operator\n", "is not encrypted. Encrypt it with: ansible-vault encrypt"),
        (vault().encrypt(b"[1, 2]"), "must contain variables"),
    ],
)
def test_another_file_is_refused(example: Fleet, content: bytes, message: str) -> None:
    # Elsewhere, because Ansible reads the inventory's vault file before the stage begins.
    target = example.inventory.parent / "vault.yml"
    target.write_bytes(content)
    refused = example.run("secrets", options=("-e", f"secrets_file={target}"), machine=False)
    assert refused.status != 0
    assert message in refused.output.replace("\n", " ").replace("    ", "")
    assert target.read_bytes() == content


def test_half_an_authority_is_refused(completed: Fleet) -> None:
    rewrite(completed, {name: value for name, value in completed.secrets().items() if name != "base_ca_certificate"})
    refused = completed.run("secrets", machine=False)
    assert refused.status != 0
    assert "only a part of base_ca" in refused.output
