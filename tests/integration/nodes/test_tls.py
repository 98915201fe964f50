"""Calls to a node over TLS."""

import io
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from balancer.core.meetings import Upload
from balancer.core.parameters import Parameters
from balancer.errors import NodeUnreachableError
from balancer.nodes.client import NodeClient
from tests.integration.nodes.client import make, node
from tests.integration.nodes.scripted_node import Peer, answer, send


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    """A self-signed certificate for 127.0.0.1, and its key."""
    import datetime
    import ipaddress

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "node")])
    now = datetime.datetime.now(datetime.UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), True)
        .sign(key, hashes.SHA256())
    )
    certificate_file, key_file = tmp_path / "node.pem", tmp_path / "node.key"
    certificate_file.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return certificate_file, key_file


@pytest.fixture
def secure_peer(certificate: tuple[Path, Path]) -> Iterator[Peer]:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(*certificate)
    peer = Peer(tls=tls)
    yield peer
    peer.close()


def test_a_certificate_of_the_given_ca_is_trusted(
    tmp_path: Path, certificate: tuple[Path, Path], secure_peer: Peer
) -> None:
    client = make(tmp_path, node_ca_file=certificate[0])
    for _ in range(2):
        assert client.call(node(secure_peer.port, "https"), "getMeetingInfo", Parameters()).success
    assert secure_peer.connections == 1
    client.close()


def test_tls_carries_more_than_any_buffer_holds(
    tmp_path: Path, certificate: tuple[Path, Path], secure_peer: Peer
) -> None:
    client = make(tmp_path, node_ca_file=certificate[0], create_timeout=30.0)
    content = b"<modules>" + b"x" * 20_000_000 + b"</modules>"
    long_answer = b"<response><returncode>SUCCESS</returncode><more>" + b"y" * 5_000_000 + b"</more></response>"
    secure_peer.script = send(answer(long_answer))
    upload = Upload(lambda: io.BytesIO(content), len(content))
    reply = client.create(node(secure_peer.port, "https"), Parameters.parse(b"meetingID=x"), upload)
    assert reply.body == long_answer
    assert secure_peer.requests[0].partition(b"\r\n\r\n")[2] == content
    client.close()


def test_any_other_certificate_is_refused_before_anything_is_sent(client: NodeClient, secure_peer: Peer) -> None:
    with pytest.raises(NodeUnreachableError) as raised:
        client.call(node(secure_peer.port, "https"), "getMeetingInfo", Parameters())
    assert raised.value.reason == "tls"
    assert not secure_peer.requests


def test_a_certificate_for_another_name_is_refused(
    tmp_path: Path, certificate: tuple[Path, Path], secure_peer: Peer
) -> None:
    client = make(tmp_path, node_ca_file=certificate[0])
    with pytest.raises(NodeUnreachableError) as raised:
        client.call(node(secure_peer.port, "https", "localhost"), "getMeetingInfo", Parameters())
    assert raised.value.reason == "tls"
