"""TLS towards nodes is always verified: the chain, the name, the dates."""

import ssl
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from balancer.core.nodes import ObservedState
from balancer.settings import Settings
from tests.integration.polling.fleet import Fleet
from tests.poll_rounds import opened

Certify = Callable[..., Path]


@pytest.fixture
def certify(tmp_path: Path) -> Certify:
    """Writes a self-signed certificate for a name, with its key; returns the file."""

    def certify(name: str, *, until: datetime) -> Path:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        certificate = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(datetime.now(UTC) - timedelta(days=30))
            .not_valid_after(until)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(key, hashes.SHA256())
        )
        path = tmp_path / f"{name}-{until:%Y%m%d}.pem"
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        path.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
        return path

    return certify


@pytest.mark.parametrize(
    ("name", "days", "trusted", "expected"),
    [
        ("localhost", 30, True, (ObservedState.ONLINE, "")),
        ("localhost", 30, False, (ObservedState.SUSPECT, "tls")),
        ("localhost", -1, True, (ObservedState.SUSPECT, "tls")),
        ("other.example.org", 30, True, (ObservedState.SUSPECT, "tls")),
    ],
    ids=["valid", "unknown authority", "expired", "another name"],
)
async def test_a_nodes_certificate_must_be_valid(
    settings: Settings,
    fleet: Fleet,
    certify: Certify,
    name: str,
    days: int,
    trusted: bool,
    expected: tuple[ObservedState, str],
) -> None:
    pair = certify(name, until=datetime.now(UTC) + timedelta(days=days))
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(pair)
    port = await fleet.start("bbb1", tls=server)
    fleet.register("bbb1", f"https://localhost:{port}/bigbluebutton/api/")
    async with opened(replace(settings, node_ca_file=pair if trusted else None)) as poller:
        await poller.run_once()
    assert fleet.observed() == {"bbb1": expected}
