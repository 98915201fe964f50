"""What must be unique to each node. Two nodes that share any of it are copies of one another."""

from __future__ import annotations

import hashlib
import socket
import ssl
from pathlib import Path
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from acceptance.support.bbb import tls_reason
from acceptance.support.environment import Node
from acceptance.support.hosts import Host

#: bbb-web's own settings; the file in /etc wins over the packaged one.
SETTINGS = "/etc/bigbluebutton/bbb-web.properties"

#: Kind of property to value; secrets and keys as digests only.
Identity = dict[str, str]


def host_name(host: Host) -> str:
    """The host's name, with its domain if it knows one."""
    return host.run("hostname", "--fqdn").output.strip() or host.run("hostname").succeeded().output.strip()


def read_identity(host: Host, node: Node, ca_file: Path | None) -> Identity:
    """Reads a node's identity from its host, and its TLS key from its https endpoint."""
    machine = host.run("cat", "/etc/machine-id").succeeded().output.strip()
    keys = host.shell("cat /etc/ssh/ssh_host_*_key.pub | cut -d' ' -f1,2 | sort").succeeded().output.strip()
    settings = host.run("cat", SETTINGS).succeeded().output
    identity = {
        "machine id": machine,
        "ssh host keys": _digest(keys),
        "server URL": _setting(settings, "bigbluebutton.web.serverURL"),
        "secret": _digest(_setting(settings, "securitySalt")),
    }
    if urlsplit(node.url).scheme == "https":
        identity["TLS key"] = _tls_key(node, ca_file)
    return identity


def shared(identities: dict[str, Identity]) -> list[tuple[str, list[str]]]:
    """Each kind of property that several hosts share, with the names of these hosts."""
    result = []
    for kind in sorted({kind for identity in identities.values() for kind in identity}):
        by_value: dict[str, list[str]] = {}
        for host, identity in identities.items():
            if kind in identity:
                by_value.setdefault(identity[kind], []).append(host)
        result += [(kind, names) for names in by_value.values() if len(names) > 1]
    return result


def _setting(text: str, name: str) -> str:
    values = [line.partition("=")[2].strip() for line in text.splitlines() if line.partition("=")[0].strip() == name]
    assert values, f"{SETTINGS} has no {name}"
    return values[-1]


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _tls_key(node: Node, ca_file: Path | None) -> str:
    # Two certificates differ even if their key is the same, so the keys are compared.
    key = x509.load_der_x509_certificate(fetch_certificate(node.url, ca_file)).public_key()
    return hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def fetch_certificate(url: str, ca_file: Path | None, timeout: float = 10) -> bytes:
    """The verified certificate of an https URL in DER; AssertionError says why it is refused."""
    parts = urlsplit(url)
    context = ssl.create_default_context(cafile=str(ca_file) if ca_file else None)
    try:
        with (
            socket.create_connection((parts.hostname, parts.port or 443), timeout=timeout) as plain,
            context.wrap_socket(plain, server_hostname=parts.hostname) as secure,
        ):
            return secure.getpeercert(binary_form=True) or b""
    except ssl.SSLCertVerificationError as error:
        raise AssertionError(f"{parts.hostname}: the certificate is refused: {tls_reason(error)}") from error
    except OSError as error:
        raise AssertionError(f"{parts.hostname}: no TLS connection: {error}") from error
