"""Patches the balancer that is installed on a lab's hosts, by an additional package that Python loads at start."""

from __future__ import annotations

from pathlib import Path

from lab import ssh
from lab.state import Lab

PATCHES = Path(__file__).parent / "patches"
RELEASES = "/opt/bbb-fleet/releases"
PACKAGE = "bbb_fleet_fault"
#: Patches the current release only; REMOVE cleans all releases.
INSTALL = f"""
set -e
for site in /opt/bbb-fleet/current/lib/python3*/site-packages; do
    mkdir -p "$site/{PACKAGE}"
    mv /run/{PACKAGE}/* "$site/{PACKAGE}/"
    echo "import {PACKAGE}.%s" > "$site/{PACKAGE}.pth"
done
rm -r /run/{PACKAGE}
systemctl restart balancer-web
"""
REMOVE = f"""
set -e
rm -rf {RELEASES}/*/lib/python3*/site-packages/{PACKAGE} {RELEASES}/*/lib/python3*/site-packages/{PACKAGE}.pth
systemctl restart balancer-web
"""
READY = "timeout 30 sh -c 'until balancer node list --format json >/dev/null; do sleep 0.5; done'"


def install(lab: Lab, patch: str) -> None:
    """Install one patch on every balancer host and restart the web processes."""
    for host in lab.in_group("balancer"):
        ssh.run_on(lab, host, f"rm -rf /run/{PACKAGE} && mkdir /run/{PACKAGE}")
        for name in ("__init__.py", "import_hook.py", f"{patch}.py"):
            ssh.copy_to(lab, host, PATCHES / name, f"/run/{PACKAGE}/{name}")
        ssh.run_on(lab, host, INSTALL % patch)
        ssh.run_on(lab, host, READY)


def remove(lab: Lab) -> None:
    """Remove every patch."""
    for host in lab.in_group("balancer"):
        ssh.run_on(lab, host, REMOVE)
        ssh.run_on(lab, host, READY)
