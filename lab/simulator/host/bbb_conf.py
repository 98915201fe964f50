"""`bbb-conf` of a simulated node (reference 7.2)."""

import argparse
import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import urlsplit

from lab.simulator.host.layout import AKKA, NGINX, UNITS, akka
from lab.simulator.host.properties import (
    OVERRIDES,
    RECORDING,
    assign,
    playback_origin,
    properties,
    read,
)

_URL, _SALT = "bigbluebutton.web.serverURL", "securitySalt"


def show_secret(root: Path) -> str:
    """Return the output of --secret."""
    values = properties(root)
    url = f"{values[_URL]}/bigbluebutton/"
    return (
        f"\n    URL: {url}\n    Secret: {values[_SALT]}\n\n    Link to the API-Mate:\n"
        f"    https://mconf.github.io/api-mate/#server={url}&sharedSecret={values[_SALT]}\n"
    )


def check(root: Path) -> str:
    """Return the output of --check: settings, then potential problems."""
    values = properties(root)
    host = urlsplit(values[_URL]).hostname or ""
    server_name = _server_name(root)
    problems = [
        f"# Warning: {name} is {found}, serverURL says {host}"
        for name, found in (("nginx server_name", server_name), ("playback_host", _playback_host(root)))
        if found != host
    ]
    lines = [
        "",
        f"BigBlueButton Server {release(root)}",
        "",
        f"/{OVERRIDES} (override for bbb-web)",
        f"       {_URL}: {values[_URL]}",
        f"              defaultGuestPolicy: {values.get('defaultGuestPolicy', '')}",
        f"/{NGINX} (nginx)",
        f"                     server_name: {server_name}",
        f"/{RECORDING} (record and playback)",
        f"                   playback_host: {_playback_host(root)}",
        f"               playback_protocol: {urlsplit(playback_origin(root)).scheme}",
        "",
        "# Potential problems described below",
        *problems,
    ]
    return "\n".join(lines) + "\n"


def set_secret(root: Path, secret: str) -> None:
    """Write another secret, which a restart puts into effect."""
    assign(root / OVERRIDES, "=", {_SALT: secret})
    (root / AKKA).write_text(akka(properties(root)[_URL], secret), encoding="utf-8")


def set_ip(root: Path, host: str) -> None:
    """Give the node another host name, in its settings and in every published recording."""
    values = properties(root)
    old = urlsplit(values[_URL])
    url = f"{old.scheme}://{host}"
    assign(root / OVERRIDES, "=", {_URL: url, _SALT: values[_SALT]})
    (root / AKKA).write_text(akka(url, values[_SALT]), encoding="utf-8")
    _replace([root / RECORDING], rf"(playback_host:\s*){re.escape(_playback_host(root))}", host)
    _replace([root / NGINX], r"(server_name\s+)[^;]+", host)
    published = (root / "var/bigbluebutton").glob("*ublished/*/*/metadata.xml")
    _replace(published, rf"(https?://){re.escape(old.hostname or '')}(?=[:/])", host)


def release(root: Path) -> str:
    """Return the installed BBB version."""
    return read(root / "etc/bigbluebutton/bigbluebutton-release", "=").get("BIGBLUEBUTTON_RELEASE", "")


def _playback_host(root: Path) -> str:
    return urlsplit(playback_origin(root)).hostname or ""


def _server_name(root: Path) -> str:
    found = re.search(r"server_name\s+([^;]+);", (root / NGINX).read_text(encoding="utf-8"))
    return found[1] if found else ""


def _replace(paths: Iterable[Path], pattern: str, host: str) -> None:
    """Replace what follows the pattern's first group by the host."""
    for path in paths:
        path.write_text(re.sub(pattern, lambda found: found[1] + host, path.read_text()), encoding="utf-8")


def restart() -> None:
    """Restart the node's services, which puts changed settings into effect."""
    subprocess.run(["systemctl", "restart", *UNITS], check=True)
    subprocess.run(["systemctl", "reload", "nginx"], check=True)


def main() -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="bbb-conf")
    action = parser.add_mutually_exclusive_group(required=True)
    action.add_argument("--secret", "--salt", action="store_true")
    action.add_argument("--check", action="store_true")
    action.add_argument("--setsecret", metavar="SECRET")
    action.add_argument("--setip", metavar="HOST")
    action.add_argument("--restart", action="store_true")
    action.add_argument("--status", action="store_true")
    action.add_argument("--version", action="store_true")
    parser.add_argument("--root", type=Path, default=Path("/"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    return _act(given)


def _act(given: argparse.Namespace) -> int:
    if given.secret:
        print(show_secret(given.root))
    elif given.check:
        print(check(given.root))
    elif given.version:
        print(release(given.root))
    elif given.setsecret:
        set_secret(given.root, given.setsecret)
        print("BigBlueButton's shared secret is now set. Restart it with: bbb-conf --restart")
    elif given.status:
        return subprocess.run(["systemctl", "is-active", *UNITS], check=False).returncode
    else:
        if given.setip:
            set_ip(given.root, given.setip)
        restart()
    return 0


if __name__ == "__main__":
    sys.exit(main())
