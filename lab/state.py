"""A lab's description (name, subnet, hosts) and the files in its state directory."""

import fcntl
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from lab.errors import LabError
from lab.topology import Topology

STATE_ROOT = Path("/var/lib/bbb-fleet-lab")
LOCK_DIRECTORY = Path("/run/lock")
# The gateway has .1; hosts are counted from here.
FIRST_HOST = 11
# An interface name has 15 characters at most, and "bf-" stands before the lab's name.
NAME_PATTERN = re.compile(r"[a-z][a-z0-9]{0,11}")


@dataclass(frozen=True)
class Host:
    """One host. `machine` is what runs it: `nspawn`, or `uml` if the kernel has no NFS."""

    name: str
    address: str
    groups: tuple[str, ...]
    image: str
    machine: str = "nspawn"


@dataclass(frozen=True)
class Lab:
    """One lab; several labs with different names can exist side by side.

    `share` is how the recordings tree is shared: `nfs`, or `bind` for one directory that is mounted into its hosts.
    """

    name: str
    domain: str
    public_name: str
    subnet: str
    hosts: tuple[Host, ...] = ()
    share: str = "bind"

    @property
    def directory(self) -> Path:
        return STATE_ROOT / self.name

    @property
    def share_directory(self) -> Path:
        """The directory that serves as the shared recordings tree if there is no NFS."""
        return self.directory / "share"

    @property
    def bridge(self) -> str:
        return f"bf-{self.name}"

    @property
    def gateway(self) -> str:
        return str(IPv4Network(self.subnet)[1])

    @property
    def public_host(self) -> str:
        """Fully qualified name of the edge, such as bbb.fleet.test."""
        return f"{self.public_name}.{self.domain}"

    def fqdn(self, host: Host) -> str:
        return f"{host.name}.{self.domain}"

    def host(self, name: str) -> Host:
        """The host of that name; LabError lists the lab's hosts if there is none."""
        for host in self.hosts:
            if host.name == name:
                return host
        raise LabError(
            f"lab {self.name} has no host {name!r}; it has {', '.join(h.name for h in self.hosts) or 'none'}"
        )

    def in_group(self, group: str) -> list[Host]:
        return [host for host in self.hosts if group in host.groups]

    def host_directory(self, host: Host) -> Path:
        return self.directory / "machines" / host.name

    def with_hosts(self, names: list[str], topology: Topology, *, uml: bool = False) -> "Lab":
        """This lab with the named hosts added, each with the next free address; existing hosts are kept."""
        hosts = list(self.hosts)
        for name in names:
            if any(host.name == name for host in hosts):
                continue
            kind = topology.kind_of(name)
            in_uml = uml and kind.runs_in_uml(int(name.removeprefix(kind.name)))
            address = self._free_address(hosts)
            hosts.append(Host(name, address, kind.groups, kind.image, "uml" if in_uml else "nspawn"))
        return replace(self, hosts=tuple(hosts))

    def _free_address(self, hosts: list[Host]) -> str:
        used = {host.address for host in hosts}
        network = IPv4Network(self.subnet)
        for offset in range(FIRST_HOST, network.num_addresses - 1):
            if str(network[offset]) not in used:
                return str(network[offset])
        raise LabError(f"subnet {self.subnet} of lab {self.name} is full")

    def save(self) -> None:
        """Write the lab's description; done before anything else is created, so that `down` finds it."""
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_atomically(self.directory / "lab.json", json.dumps(asdict(self), indent=2) + "\n")


def name_from_environment() -> str:
    """The lab's name from BBB_FLEET_LAB, or `fleet` if it is not set."""
    name = os.environ.get("BBB_FLEET_LAB", "fleet")
    if not NAME_PATTERN.fullmatch(name):
        raise LabError(f"BBB_FLEET_LAB={name!r}: a lab's name is 1 to 12 lower-case letters and digits, a letter first")
    return name


def load(name: str) -> Lab | None:
    """The lab of that name as `up` recorded it; None if it is not up."""
    path = STATE_ROOT / name / "lab.json"
    try:
        raw = json.loads(path.read_text())
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise LabError(f"{path} is damaged ({error}); take the lab down: python -m lab down") from error
    hosts = tuple(Host(**{**entry, "groups": tuple(entry["groups"])}) for entry in raw.pop("hosts"))
    return Lab(**raw, hosts=hosts)


def existing(name: str) -> Lab:
    """The lab of that name; LabError if it is not up."""
    lab = load(name)
    if lab is None:
        raise LabError(f"lab {name} is not up; start it: python -m lab up")
    return lab


def all_names() -> list[str]:
    """Names of all labs that have a state directory."""
    return sorted(path.parent.name for path in STATE_ROOT.glob("*/lab.json"))


def choose_subnet(taken: list[IPv4Network]) -> str:
    """A /24 that overlaps none of `taken`, from a range that few sites use."""
    for third in range(256):
        candidate = IPv4Network((int(IPv4Address("10.213.0.0")) + (third << 8), 24))
        if not any(candidate.overlaps(other) for other in taken):
            return str(candidate)
    raise LabError("no free /24 left in 10.213.0.0/16 for another lab; take one down")


@contextmanager
def locked(what: str = "labs") -> Iterator[None]:
    """Hold a lock that all labs of this machine share, for steps that must not run at the same time."""
    LOCK_DIRECTORY.mkdir(parents=True, exist_ok=True)
    with (LOCK_DIRECTORY / f"bbb-fleet-{what}.lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def write_atomically(path: Path, text: str, mode: int = 0o600) -> None:
    """Replace a file completely or not at all."""
    draft = path.with_name(f".{path.name}.new")
    draft.write_text(text)
    draft.chmod(mode)
    draft.replace(path)
