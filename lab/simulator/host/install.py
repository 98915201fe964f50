"""Installs a simulated node on a Debian host; can be repeated."""

import grp
import os
import pwd
import shutil
import subprocess
from pathlib import Path

from lab.simulator.host.layout import LIBRARY, NGINX, UNITS, HostFile, Identity, files
from lab.simulator.recordings.tree import Tree

USER = "bigbluebutton"
#: Debian packages that must be installed.
PACKAGES = ("nginx", "python3-aiohttp", "ruby")
_NEEDED = ("nginx", "ruby", "systemctl")


class InstallError(Exception):
    """The node cannot be installed; the text names what is missing."""


def install(identity: Identity, root: Path = Path("/"), *, start: bool = True) -> list[str]:
    """Write a node's files and run its services; return the paths that changed.

    Runs on the host as root, from a copy of this package in /usr/local/lib/bbb-simulator.
    """
    _check()
    _add_user()
    tree = Tree(root)
    tree.make()
    tree.ship_scripts()
    changed = [str(each.path) for each in files(identity) if write(each, root)]
    _own(tree.base)
    changed += _enable_site(root)
    if start:
        _run_services(changed)
    return changed


def write(wanted: HostFile, root: Path) -> bool:
    """Write one file with owner and mode; False if its content was right."""
    path = root / wanted.path
    if wanted.once and path.exists():
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    old = path.read_text(encoding="utf-8") if path.exists() else None
    if old != wanted.text:
        path.write_text(wanted.text, encoding="utf-8")
    path.chmod(wanted.mode)
    if wanted.of_user:
        shutil.chown(path, USER, USER)
    return old != wanted.text


def _check() -> None:
    if os.geteuid() != 0:
        raise InstallError("run it as root")
    if missing := [name for name in _NEEDED if shutil.which(name) is None]:
        raise InstallError(f"{', '.join(missing)} missing: apt-get install {' '.join(PACKAGES)}")
    if not Path("/", LIBRARY, "lab/simulator").is_dir():
        raise InstallError(f"unpack the bundle to /{LIBRARY} first (python -m lab.simulator.host bundle)")


def _add_user() -> None:
    try:
        pwd.getpwnam(USER)
    except KeyError:
        home = f"/home/{USER}"
        command = ["useradd", "--system", "--user-group", "--create-home", "--home-dir", home, USER]
        subprocess.run(command, check=True)


def _own(base: Path) -> None:
    """Make BBB's user the owner of the recordings' directories; files keep their owners."""
    uid, gid = pwd.getpwnam(USER).pw_uid, grp.getgrnam(USER).gr_gid
    os.chown(base, uid, gid)
    for path in base.rglob("*"):
        if path.is_dir() and path.stat().st_uid == 0:
            os.chown(path, uid, gid)


def _enable_site(root: Path) -> list[str]:
    enabled = root / "etc/nginx/sites-enabled"
    enabled.mkdir(parents=True, exist_ok=True)
    (enabled / "default").unlink(missing_ok=True)
    link = enabled / "bigbluebutton"
    if link.is_symlink():
        return []
    link.symlink_to(Path("/") / NGINX)
    return [str(link)]


def _run_services(changed: list[str]) -> None:
    _systemctl("daemon-reload")
    _systemctl("enable", "--now", "nginx", *UNITS)
    if changed:
        subprocess.run(["nginx", "-t", "-q"], check=True)
        _systemctl("reload", "nginx")
        _systemctl("restart", *UNITS)


def _systemctl(*arguments: str) -> None:
    subprocess.run(["systemctl", "--quiet", *arguments], check=True)
