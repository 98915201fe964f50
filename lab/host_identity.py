"""A host's identity, written into its file system before the first boot."""

import os
import shutil
import uuid
from pathlib import Path

from lab import certificates, image, network, ssh, state
from lab.command import run
from lab.errors import LabError
from lab.state import Host, Lab

MARK = Path("etc/bbb-fleet-lab")
NODE_CERTIFICATE = Path("etc/ssl/certs/bbb-node.pem")
NODE_KEY = Path("etc/ssl/private/bbb-node.key")


def is_complete(root: Path) -> bool:
    """Whether a file system has its whole identity."""
    return (root / MARK).exists()


def write(lab: Lab, host: Host, root: Path) -> None:
    """Write name, machine id, network, ssh keys, authorized keys, trusted CA and, for a node, its certificate."""
    _write(root / "etc/hostname", f"{host.name}\n")
    _write(root / "etc/machine-id", f"{uuid.uuid4().hex}\n", 0o444)
    _write(root / "etc/hosts", "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n")
    network.write_names(root / "etc/hosts", lab.name, network.names_for_hosts(lab))
    _write(root / "etc/systemd/network/10-lab.network", _network_unit(lab, host))
    _write(root / "etc/resolv.conf", _resolver())
    _write_ssh_keys(lab, host, root)
    _trust_authority(lab, root)
    if "nodes" in host.groups:
        _write_certificate(lab, host, root)
    # Written last, because it marks the identity as complete.
    _write(root / MARK, f"{lab.name}\n")


def _write_ssh_keys(lab: Lab, host: Host, root: Path) -> None:
    host_key = ssh.host_key_file(lab, host)
    _write(root / "etc/ssh/ssh_host_ed25519_key", host_key.read_text(), 0o600)
    _write(root / "etc/ssh/ssh_host_ed25519_key.pub", host_key.with_name(f"{host_key.name}.pub").read_text())
    authorized = ssh.key_file(lab).with_name("ssh_key.pub").read_text()
    for home in ("root", f"home/{image.OPERATOR}"):
        path = root / home / ".ssh/authorized_keys"
        _write(path, authorized, 0o600)
        owner = (root / home).stat()
        for owned in (path.parent, path):
            os.chown(owned, owner.st_uid, owner.st_gid)


def _trust_authority(lab: Lab, root: Path) -> None:
    anchor = root / "usr/local/share/ca-certificates/bbb-fleet-lab.crt"
    anchor.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(certificates.authority(lab).certificate, anchor)
    run(["chroot", root, "update-ca-certificates"])


def _write_certificate(lab: Lab, host: Host, root: Path) -> None:
    pair = certificates.of_node(lab, host.name)
    _write(root / NODE_CERTIFICATE, pair.certificate.read_text())
    _write(root / NODE_KEY, pair.key.read_text(), 0o600)


def _write(path: Path, text: str, mode: int = 0o644) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o755 if mode & 0o044 else 0o700)
    # Debian's resolv.conf may be a symlink that leads out of the host's tree.
    if path.is_symlink():
        path.unlink()
    state.write_atomically(path, text, mode)


def _network_unit(lab: Lab, host: Host) -> str:
    # Named to sort before 80-container-host0.network, which would ask for an address by DHCP.
    return f"""[Match]
Name=host0 vec0

[Network]
Address={host.address}/{lab.subnet.partition("/")[2]}
Gateway={lab.gateway}
LinkLocalAddressing=no
IPv6AcceptRA=no
"""


def _resolver() -> str:
    """The machine's resolv.conf, in a form that hosts can use: they cannot reach a resolver on its loopback."""
    for path in (Path("/run/systemd/resolve/resolv.conf"), Path("/etc/resolv.conf")):
        if path.exists() and "nameserver 127." not in path.read_text():
            return path.read_text()
    raise LabError("the machine's resolver listens on its loopback only; the lab's hosts cannot reach it")
