"""Faults that change a host: services, files, mounts, names, certificates."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from lab import certificates, ssh
from lab.faults import hanging_share
from lab.state import Host, Lab

SHARE = "/var/bigbluebutton"
SPOOL = "/srv/bbb-fleet/spool"
ELSEWHERE = "/srv/elsewhere"
DROP_IN = "/etc/systemd/system/balancer-importer.service.d/fault.conf"
MOUNT_UNIT = "var-bigbluebutton.mount"
#: Checks every minute whether the share must be mounted again.
MOUNT_TIMER = "bbb-fleet-share.timer"
EDGE_CERTIFICATE = ("/etc/nginx/tls/certificate.pem", "/etc/nginx/tls/key.pem")


def victim(lab: Lab) -> Host:
    """The node that faults of nodes strike."""
    return lab.in_group("nodes")[1]


def stop_importer(lab: Lab) -> None:
    _on_each(lab, "balancer", "systemctl stop balancer-importer")


def start_importer(lab: Lab) -> None:
    _on_each(lab, "balancer", "systemctl start balancer-importer")


def close_spool(lab: Lab) -> None:
    """Forbid the spool's group to write: nodes cannot hand over, but the importer can still work."""
    _on_each(lab, "storage", f"chmod 2755 {SPOOL}")


def open_spool(lab: Lab) -> None:
    _on_each(lab, "storage", f"chmod 2775 {SPOOL}")


def send_importer_elsewhere(lab: Lab) -> None:
    """Make the importer read another directory than the one to which nodes hand over."""
    directories = " ".join(f"{ELSEWHERE}/{name}" for name in ("spool", "published", "unpublished", "deleted"))
    _on_each(
        lab,
        "balancer",
        f"""
set -e
install -d -o bbb-fleet -g bbb-fleet-spool -m 2775 {ELSEWHERE} {directories} {ELSEWHERE}/.incoming {ELSEWHERE}/.trash
cp {SHARE}/.bbb-fleet-share {ELSEWHERE}/
mkdir -p {DROP_IN.rpartition("/")[0]}
printf '[Service]\\nEnvironment=BALANCER_RECORDINGS_ROOT={ELSEWHERE}\\nReadWritePaths={ELSEWHERE}\\n' >{DROP_IN}
systemctl daemon-reload
systemctl restart balancer-importer
""",
    )


def send_importer_back(lab: Lab) -> None:
    _on_each(
        lab,
        "balancer",
        f"rm -rf {DROP_IN} {ELSEWHERE} && systemctl daemon-reload && systemctl restart balancer-importer",
    )


def unmount_share(lab: Lab) -> None:
    """Unmount the share under the running importer, which then sees the empty mount point."""
    _on_each(
        lab,
        "balancer",
        f"systemctl stop {MOUNT_TIMER} balancer-importer && umount -l {SHARE} && systemctl start balancer-importer",
    )


def mount_share(lab: Lab) -> None:
    _on_each(
        lab,
        "balancer",
        f"systemctl stop balancer-importer && systemctl restart {MOUNT_UNIT}"
        f" && systemctl start {MOUNT_TIMER} balancer-importer",
    )


def hang_share(lab: Lab) -> None:
    for host in lab.in_group("balancer"):
        hanging_share.hang(lab, host, SHARE)


def free_share(lab: Lab) -> None:
    for host in lab.in_group("balancer"):
        hanging_share.free(lab, host, SHARE)


def rename_node(lab: Lab) -> None:
    """Give the victim the name of a template that it was installed from."""
    ssh.run_on(lab, victim(lab), "hostname bbb-template && echo bbb-template >/etc/hostname")


def name_node(lab: Lab) -> None:
    ssh.run_on(lab, victim(lab), f"hostname {victim(lab).name} && echo {victim(lab).name} >/etc/hostname")


def clone_node(lab: Lab) -> None:
    """Give the victim another node's machine id, as a copied disk would have; its own id is saved."""
    other = lab.in_group("nodes")[0]
    machine_id = ssh.run_on(lab, other, "cat /etc/machine-id").strip()
    ssh.run_on(
        lab,
        victim(lab),
        f"cp -n /etc/machine-id /etc/machine-id.own; echo {machine_id} >/run/id && cat /run/id >/etc/machine-id",
    )


def give_node_its_identity(lab: Lab) -> None:
    ssh.run_on(
        lab,
        victim(lab),
        "test ! -e /etc/machine-id.own || { cat /etc/machine-id.own >/etc/machine-id && rm /etc/machine-id.own; }",
    )


def expire_certificate(lab: Lab) -> None:
    """Install a certificate on the edge that expired yesterday."""
    pair = certificates.Pair(lab.directory / "expired.pem", lab.directory / "expired.key")
    certificates.issue(lab, pair, lab.public_host, until=datetime.now(UTC) - timedelta(days=1))
    _certify_edge(lab, pair)


def renew_certificate(lab: Lab) -> None:
    _certify_edge(lab, certificates.of_edge(lab))
    for name in ("expired.pem", "expired.key"):
        (lab.directory / name).unlink(missing_ok=True)


def _certify_edge(lab: Lab, pair: certificates.Pair) -> None:
    for host in lab.in_group("edge"):
        for source, target in zip((pair.certificate, pair.key), EDGE_CERTIFICATE, strict=True):
            # Written through a pipe into the existing file, which keeps its owner and mode.
            ssh.run_on(lab, host, f"cat >{target}", stdin=source.read_text())
        ssh.run_on(lab, host, "nginx -t && systemctl reload nginx")


def _on_each(lab: Lab, group: str, script: str) -> None:
    for host in lab.in_group(group):
        ssh.run_on(lab, host, script)
