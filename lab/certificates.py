"""The lab's own certificate authority, and certificates for its edge and its nodes."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from lab import state
from lab.state import Lab

LIFETIME = timedelta(days=365)
# The clocks of browsers and hosts may be slightly behind the controller's.
BACKDATED = timedelta(hours=1)


@dataclass(frozen=True)
class Pair:
    """A certificate and its private key, both PEM files."""

    certificate: Path
    key: Path


def authority(lab: Lab) -> Pair:
    """The lab's CA, created on first use. Its hosts trust it; other clients need its certificate, ca.pem."""
    pair = Pair(lab.directory / "ca.pem", lab.directory / "ca.key")
    if not pair.certificate.exists():
        key = ec.generate_private_key(ec.SECP256R1())
        name = _name(f"bbb-fleet lab {lab.name}")
        certificate = (
            _builder(name, name, key.public_key(), datetime.now(UTC) + LIFETIME)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(signs_certificates=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .sign(key, hashes.SHA256())
        )
        _write(pair, certificate, key)
    return pair


def of_edge(lab: Lab) -> Pair:
    """The public name's certificate, created on first use."""
    return _existing_or_new(lab, "edge", lab.public_host)


def of_node(lab: Lab, name: str) -> Pair:
    """A node's certificate, created on first use."""
    host = lab.host(name)
    return _existing_or_new(lab, host.name, lab.fqdn(host))


def issue(lab: Lab, pair: Pair, *names: str, until: datetime | None = None) -> Pair:
    """Write a new key and a certificate for `names` (host names or addresses), valid for a year or up to `until`."""
    ca_certificate, ca_key = _load(authority(lab))
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = (
        _builder(ca_certificate.subject, _name(names[0]), key.public_key(), until or datetime.now(UTC) + LIFETIME)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName([_alternative(name) for name in names]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    _write(pair, certificate, key)
    return pair


def _existing_or_new(lab: Lab, stem: str, *names: str) -> Pair:
    pair = Pair(lab.directory / "certificates" / f"{stem}.pem", lab.directory / "certificates" / f"{stem}.key")
    return pair if pair.certificate.exists() else issue(lab, pair, *names)


def _builder(
    issuer: x509.Name, subject: x509.Name, key: ec.EllipticCurvePublicKey, until: datetime
) -> x509.CertificateBuilder:
    # An expired certificate must have been valid before that.
    begin = min(datetime.now(UTC), until - timedelta(days=1)) - BACKDATED
    return (
        x509.CertificateBuilder()
        .issuer_name(issuer)
        .subject_name(subject)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(until)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _load(pair: Pair) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    key = serialization.load_pem_private_key(pair.key.read_bytes(), password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise TypeError(f"{pair.key} is not an elliptic curve key")
    return x509.load_pem_x509_certificate(pair.certificate.read_bytes()), key


def _write(pair: Pair, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
    pair.certificate.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    # The certificate is written last: if it exists, so does its key.
    state.write_atomically(pair.key, private.decode())
    state.write_atomically(pair.certificate, certificate.public_bytes(serialization.Encoding.PEM).decode(), 0o644)
