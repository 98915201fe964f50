"""The role nginx refuses a missing or unusable certificate, and names the variable and the remedy."""

from __future__ import annotations

import os
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.roles.conftest import ANSIBLE, ROOT

NAME = "bbb.example.org"
PLAY = {
    "hosts": "localhost",
    "connection": "local",
    "gather_facts": False,
    "tasks": [{"ansible.builtin.include_role": {"name": "nginx", "tasks_from": "preflight"}}],
}


def preflight(directory: Path, *, balancer: dict[str, object] | None = None, **settings: object) -> tuple[int, str]:
    """Run the role's preflight on this machine; return its status and its output as one line.

    balancer: variables of the balancer's host.
    """
    variables = {"nginx_server_name": NAME, "nginx_upstreams": ["lb1:8080"]} | settings
    playbook = directory / "preflight.yml"
    playbook.write_text(yaml.safe_dump([PLAY | {"vars": variables}]))
    inventory = directory / "hosts.yml"
    groups = {"balancer": {"hosts": {"lb1": balancer or {}}}, "edge": {"hosts": {"localhost": {}}}}
    inventory.write_text(yaml.safe_dump({"all": {"children": groups}}))
    done = subprocess.run(
        [str(ANSIBLE), "-i", str(inventory), str(playbook)],
        cwd=ROOT,
        env=os.environ | {"ANSIBLE_NOCOLOR": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.returncode, " ".join((done.stdout + done.stderr).split())


@pytest.fixture
def pair(tmp_path: Path) -> dict[str, str]:
    """A certificate for NAME and its key, as values of the role's variables."""
    files = {"nginx_certificate_file": str(tmp_path / "chain.pem"), "nginx_certificate_key_file": str(tmp_path / "key")}
    request = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc"]
    subject = ["-subj", f"/CN={NAME}", "-addext", f"subjectAltName=DNS:{NAME}"]
    out = ["-out", files["nginx_certificate_file"], "-keyout", files["nginx_certificate_key_file"]]
    subprocess.run([*request, *subject, *out], check=True, capture_output=True)
    return files


def test_a_certificate_of_its_name_is_accepted(tmp_path: Path, pair: dict[str, str]) -> None:
    status, said = preflight(tmp_path, **pair)
    assert status == 0, said


@pytest.mark.parametrize("variable", ["nginx_certificate_file", "nginx_certificate_key_file"])
def test_a_missing_file_is_reported(tmp_path: Path, pair: dict[str, str], variable: str) -> None:
    Path(pair[variable]).unlink()
    status, said = preflight(tmp_path, **pair)
    assert status != 0
    assert f"{variable} names {pair[variable]}, which does not exist on the controller. Put the file there" in said
    assert "Traceback" not in said
    assert "lookup" not in said


def test_a_certificate_of_another_name_is_refused(tmp_path: Path, pair: dict[str, str]) -> None:
    status, said = preflight(tmp_path, **pair, nginx_server_name="other.example.org")
    assert status != 0
    assert f"The certificate for other.example.org cannot be used: it contains DNS:{NAME}" in said


def move_validity(pair: dict[str, str], begin: timedelta, end: timedelta) -> None:
    """Make the pair's certificate valid from begin to end, relative to now."""
    key = serialization.load_pem_private_key(Path(pair["nginx_certificate_key_file"]).read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    path = Path(pair["nginx_certificate_file"])
    old = x509.load_pem_x509_certificate(path.read_bytes())
    names = old.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(
        old.issuer, old.subject, key.public_key(), old.serial_number, now + begin, now + end
    )
    path.write_bytes(
        builder.add_extension(names, False).sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    )


@pytest.mark.parametrize("zone", ["America/Los_Angeles", "Pacific/Auckland"])
def test_the_controllers_time_zone_does_not_matter(
    tmp_path: Path, pair: dict[str, str], monkeypatch: pytest.MonkeyPatch, zone: str
) -> None:
    monkeypatch.setenv("TZ", zone)
    move_validity(pair, timedelta(hours=-1), timedelta(hours=1))
    status, said = preflight(tmp_path, **pair)
    assert status == 0, said


@pytest.mark.parametrize(("begin", "end"), [(-48, -1), (1, 48)], ids=["expired", "not yet valid"])
def test_a_certificate_that_is_not_valid_now_is_refused(
    tmp_path: Path, pair: dict[str, str], begin: int, end: int
) -> None:
    move_validity(pair, timedelta(hours=begin), timedelta(hours=end))
    status, said = preflight(tmp_path, **pair)
    assert status != 0
    assert f"The certificate for {NAME} cannot be used" in said


def test_a_file_without_a_certificate_is_refused(tmp_path: Path, pair: dict[str, str]) -> None:
    Path(pair["nginx_certificate_file"]).write_text("no certificate")
    status, said = preflight(tmp_path, **pair)
    assert status != 0
    assert "Unable to load" in said
    assert "Traceback" not in said


def test_a_missing_certificate_is_refused(tmp_path: Path) -> None:
    status, said = preflight(tmp_path)
    assert status != 0
    assert "Set either nginx_certificate_file (a file on the controller) or nginx_certificate" in said


@pytest.mark.parametrize(
    ("balancer", "edge"),
    [
        ({"balancer_body_limit_bytes": 200_000_000}, {}),
        ({}, {"nginx_body_limit_bytes": 1_000_000}),
        ({"balancer_create_timeout": 40}, {}),
        ({}, {"nginx_proxy_read_timeout": "30s"}),
    ],
)
def test_limits_that_do_not_fit_the_balancers_are_refused(
    tmp_path: Path, pair: dict[str, str], balancer: dict[str, object], edge: dict[str, object]
) -> None:
    status, said = preflight(tmp_path, balancer=balancer, **pair, **edge)
    assert status != 0
    assert "set both to the same value" in said
    assert "twice the sum of balancer_create_timeout and balancer_node_connect_timeout" in said


def test_limits_that_were_changed_on_both_sides_are_accepted(tmp_path: Path, pair: dict[str, str]) -> None:
    limits = {"nginx_body_limit_bytes": 200_000_000, "nginx_proxy_read_timeout": "90s"}
    balancer = {"balancer_body_limit_bytes": 200_000_000, "balancer_create_timeout": 40}
    status, said = preflight(tmp_path, balancer=balancer, **pair, **limits)
    assert status == 0, said
