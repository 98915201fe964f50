"""`python -m lab.simulator.host bundle|install`: pack the simulator, and install it as a node on a host."""

import argparse
import sys
from pathlib import Path

from lab.simulator.bbb_releases import PROFILES
from lab.simulator.host.bundle import bundle
from lab.simulator.host.install import InstallError, install
from lab.simulator.host.layout import Identity


def main() -> int:
    """Entry point; prints one line and returns exit status 1 if the host lacks something."""
    given = _parser().parse_args()
    if given.action == "bundle":
        bundle(given.target)
        return 0
    secret = given.secret_file.read_text().strip() if given.secret_file else given.secret
    if not secret:
        print("give --secret or --secret-file", file=sys.stderr)
        return 1
    identity = Identity(
        hostname=given.hostname,
        secret=secret,
        certificate=given.certificate,
        key=given.key,
        release=PROFILES[given.profile].release,
        web_options=given.web_options,
        rap_options=given.rap_options,
    )
    try:
        changed = install(identity, start=not given.no_start)
    except InstallError as error:
        print(f"cannot install: {error}", file=sys.stderr)
        return 1
    print("\n".join(changed) or "nothing changed")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m lab.simulator.host")
    actions = parser.add_subparsers(dest="action", required=True)
    carry = actions.add_parser("bundle", help="write the archive for /usr/local/lib/bbb-simulator")
    carry.add_argument("target", type=Path)
    place = actions.add_parser("install", help="on the host, as root: files, user, units, nginx")
    place.add_argument("--hostname", required=True)
    place.add_argument("--secret", default="")
    place.add_argument("--secret-file", type=Path)
    place.add_argument("--certificate", default="", help="PEM chain on the host; plain HTTP without it")
    place.add_argument("--key", default="")
    place.add_argument("--profile", choices=PROFILES, default="3.0")
    place.add_argument("--web-options", default="", help="options of the node, e.g. '--minute 5'")
    place.add_argument("--rap-options", default="", help="options of the worker, e.g. '--format presentation=3'")
    place.add_argument("--no-start", action="store_true", help="only write files, because the host is not running")
    return parser


if __name__ == "__main__":
    sys.exit(main())
