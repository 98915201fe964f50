import ssl
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from lab import certificates
from lab.certificates import Pair
from lab.state import Lab


def test_the_edge_is_trusted_under_its_public_name(paper_lab: Lab) -> None:
    assert _verdict(paper_lab, certificates.of_edge(paper_lab), "bbb.paper.test") == "trusted"


def test_the_edge_is_trusted_under_no_other_name(paper_lab: Lab) -> None:
    assert "Hostname mismatch" in _verdict(paper_lab, certificates.of_edge(paper_lab), "bbb1.paper.test")


def test_a_nodes_certificate_stays_the_same_until_it_is_reissued(paper_lab: Lab) -> None:
    pair = certificates.of_node(paper_lab, "bbb1")
    first = pair.certificate.read_text()
    assert certificates.of_node(paper_lab, "bbb1").certificate.read_text() == first
    certificates.issue(paper_lab, pair, "bbb1.paper.test")
    assert pair.certificate.read_text() != first
    assert _verdict(paper_lab, pair, "bbb1.paper.test") == "trusted"


def test_a_certificate_can_have_expired(paper_lab: Lab) -> None:
    pair = Pair(paper_lab.directory / "old.pem", paper_lab.directory / "old.key")
    certificates.issue(paper_lab, pair, "bbb.paper.test", until=datetime.now(UTC) - timedelta(days=2))
    assert "certificate has expired" in _verdict(paper_lab, pair, "bbb.paper.test")


def test_an_address_can_be_certified(paper_lab: Lab, tmp_path: Path) -> None:
    pair = certificates.issue(paper_lab, Pair(tmp_path / "a.pem", tmp_path / "a.key"), "10.99.0.11")
    assert _verdict(paper_lab, pair, "10.99.0.11") == "trusted"


def test_another_labs_authority_is_not_trusted(paper_lab: Lab) -> None:
    other = Lab("other", "paper.test", "bbb", "10.98.0.0/24")
    assert "signature failure" in _verdict(paper_lab, certificates.of_edge(other), "bbb.paper.test") or (
        "unable to get local issuer" in _verdict(paper_lab, certificates.of_edge(other), "bbb.paper.test")
    )


@pytest.mark.parametrize("strict", [True, False])
def test_openssl_accepts_the_chain_also_strictly(paper_lab: Lab, strict: bool) -> None:
    ca, edge = certificates.authority(paper_lab), certificates.of_edge(paper_lab)
    options = ["-x509_strict"] if strict else []
    subprocess.run(["openssl", "verify", *options, "-CAfile", ca.certificate, edge.certificate], check=True)


def _verdict(lab: Lab, pair: Pair, name: str) -> str:
    """The verdict of a client that trusts the lab's CA about a server with this pair: `trusted` or the error."""
    server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_context.load_cert_chain(pair.certificate, pair.key)
    client_context = ssl.create_default_context(cafile=str(certificates.authority(lab).certificate))
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_context.wrap_bio(to_client, to_server, server_hostname=name)
    server = server_context.wrap_bio(to_server, to_client, server_side=True)
    try:
        for side in (client, server, client):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    except ssl.SSLCertVerificationError as error:
        return str(error)
    return "trusted"
