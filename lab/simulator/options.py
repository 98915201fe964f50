"""Command line of the simulator."""

import argparse
import os
from dataclasses import dataclass
from pathlib import Path

from lab.simulator.bbb_releases import PROFILES
from lab.simulator.host.properties import properties, read
from lab.simulator.recordings.formats import is_known
from lab.simulator.settings import ALGORITHMS, NodeSettings


@dataclass(frozen=True, slots=True)
class NodeOptions:
    """One node to run."""

    host: str
    port: int
    #: Certificate chain and key for HTTPS, None for HTTP.
    tls: tuple[Path, Path] | None
    settings: NodeSettings


def parse(arguments: list[str], temporary: Path) -> list[NodeOptions]:
    """Read the command line; a mistake ends the program with a usage message.

    `temporary` is the root of nodes for which none is given.
    """
    parser = _parser()
    given = parser.parse_args(arguments)
    given.root = given.root or temporary
    _read_host(given)
    places = _places(given)
    if not places:
        parser.error("no address: give --listen HOST:PORT, or --nodes N --first-port P")
    if given.secret is None:
        parser.error("no secret: give --secret, --secret-file or BBB_SIMULATOR_SECRET")
    many = len(places) > 1
    tls = (given.certificate, given.key) if given.certificate and given.key else None
    return [
        NodeOptions(host, port, tls, _settings(given, host, port, number, many))
        for number, (host, port) in enumerate(places, 1)
    ]


def _read_host(given: argparse.Namespace) -> None:
    """Read identity and behaviour from the host's files, as bbb-web does at its start."""
    if not given.from_host:
        return
    values = properties(given.root)
    given.server_url, given.secret = values["bigbluebutton.web.serverURL"], values["securitySalt"]
    given.profile = given.profile or _profile_of(given.root)
    if "supportedChecksumAlgorithms" in values:
        given.algorithms = _algorithms(values["supportedChecksumAlgorithms"])
    given.reveal_version |= values.get("allowRevealOfBBBVersion") == "true"
    given.requests_without_session |= values.get("allowRequestsWithoutSession") == "true"
    given.guest_policy = values.get("defaultGuestPolicy", given.guest_policy)


def _profile_of(root: Path) -> str | None:
    release = read(root / "etc/bigbluebutton/bigbluebutton-release", "=").get("BIGBLUEBUTTON_RELEASE", "")
    return next((word for word, profile in PROFILES.items() if profile.release == release), None)


def _places(given: argparse.Namespace) -> list[tuple[str, int]]:
    if given.secret_file is not None:
        given.secret = given.secret_file.read_text().strip()
    row = [(given.host, given.first_port + number) for number in range(given.nodes)]
    return [*given.listen, *row]


def _settings(given: argparse.Namespace, host: str, port: int, number: int, many: bool) -> NodeSettings:
    def fill(text: str) -> str:
        return text.replace("{n}", str(number)).replace("{port}", str(port)).replace("{host}", host)

    root = Path(fill(str(given.root)))
    if many and root == given.root:
        root /= f"node{number}"
    return NodeSettings(
        server_url=fill(given.server_url).rstrip("/"),
        secret=fill(given.secret),
        root=root,
        profile=PROFILES[given.profile or "3.0"],
        guest_policy=given.guest_policy,
        algorithms=given.algorithms,
        minute=given.minute,
        end_delay=given.end_delay,
        reveal_version=given.reveal_version,
        requests_without_session=given.requests_without_session,
        formats=dict(given.format or DEFAULT_FORMATS),
        processes_recordings=not given.no_processing,
        request_log_length=given.request_log,
    )


#: Used if no --format is given.
DEFAULT_FORMATS = (("presentation", 3.0), ("video", 5.0))


def _place(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit():
        raise argparse.ArgumentTypeError(f"{text} is not HOST:PORT")
    return host, int(port)


def _algorithms(text: str) -> tuple[str, ...]:
    names = tuple(text.split(","))
    if unknown := [name for name in names if name not in ALGORITHMS]:
        raise argparse.ArgumentTypeError(f"{unknown[0]} is none of {', '.join(ALGORITHMS)}")
    return names


def playback_format(text: str) -> tuple[str, float]:
    """Read NAME[=SECONDS]; the default is 3 seconds."""
    name, _, seconds = text.partition("=")
    if not is_known(name):
        raise argparse.ArgumentTypeError(f"unknown format {name}: use presentation, video or podcast")
    return name, float(seconds or 3)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m lab.simulator",
        description="Simulated BigBlueButton nodes. In --server-url, --secret and --root, {n}, {host} and {port} are"
        " replaced for each node.",
    )
    place = parser.add_argument_group("address")
    place.add_argument("--listen", action="append", default=[], type=_place, metavar="HOST:PORT", help="repeatable")
    place.add_argument("--nodes", type=int, default=0, metavar="N", help="number of nodes, on consecutive ports")
    place.add_argument("--first-port", type=int, default=8090, metavar="P")
    place.add_argument("--host", default="127.0.0.1", help="for --nodes")
    place.add_argument("--certificate", type=Path, metavar="PEM", help="speak HTTPS; with --key")
    place.add_argument("--key", type=Path, metavar="PEM")
    identity = parser.add_argument_group("identity")
    identity.add_argument("--server-url", default="http://{host}:{port}", help="public origin")
    identity.add_argument("--secret", default=os.environ.get("BBB_SIMULATOR_SECRET"))
    identity.add_argument("--secret-file", type=Path)
    identity.add_argument("--from-host", action="store_true", help="read it from bbb-web's files below --root")
    identity.add_argument(
        "--root", type=Path, help="directory that contains var/bigbluebutton: / on a host (default: a temporary one)"
    )
    _add_behaviour(parser.add_argument_group("behaviour"))
    return parser


def _add_behaviour(group: "argparse._ArgumentGroup") -> None:
    group.add_argument("--profile", choices=PROFILES, help="BBB release to imitate (default: 3.0)")
    group.add_argument("--guest-policy", default="ALWAYS_ACCEPT", help="defaultGuestPolicy")
    group.add_argument("--algorithms", type=_algorithms, default=ALGORITHMS, help="allowed checksums, comma separated")
    group.add_argument("--minute", type=float, default=60.0, help="length in seconds of a minute of the meeting timers")
    group.add_argument("--end-delay", type=float, default=1.0, help="seconds from end until the meeting is removed")
    group.add_argument("--reveal-version", action="store_true", help="allowRevealOfBBBVersion")
    group.add_argument("--requests-without-session", action="store_true", help="allowRequestsWithoutSession")
    group.add_argument(
        "--format", action="append", type=playback_format, metavar="NAME[=SECONDS]", help="playback formats to make"
    )
    group.add_argument("--no-processing", action="store_true", help="leave recordings to another process")
    group.add_argument(
        "--request-log", type=int, default=1000, metavar="N", help="requests kept for /simulator/requests"
    )
