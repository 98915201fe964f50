"""Reads topology.yml: the only description of the lab's hosts and of what they are made of."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from lab.errors import LabError

TOPOLOGY_FILE = Path(__file__).with_name("topology.yml")


@dataclass(frozen=True)
class Kind:
    """One sort of host: `name` is the prefix of its hosts' names, `count` how many there are by default."""

    name: str
    count: int
    option: str
    groups: tuple[str, ...]
    image: str
    uml: str

    def runs_in_uml(self, number: int) -> bool:
        """Whether the host of that number runs in User Mode Linux if hosts need a kernel with NFS."""
        return self.uml == "all" or (self.uml == "first" and number == 1)


@dataclass(frozen=True)
class Simulator:
    """How a lab's node misrepresents BBB: release profile and options of its two services."""

    profile: str
    web_options: str
    rap_options: str


@dataclass(frozen=True)
class Image:
    """A layer of a host's file system: packages installed or only downloaded on top of `parent`."""

    name: str
    parent: str | None
    install: tuple[str, ...]
    download: tuple[str, ...]
    suite: str | None
    mirror: str | None
    security_mirror: str | None


@dataclass(frozen=True)
class Topology:
    """The whole of topology.yml, checked."""

    domain: str
    public_name: str
    kinds: Mapping[str, Kind]
    images: Mapping[str, Image]
    simulator: Simulator
    # Inventory variables: by group, by the way of sharing, and for hosts in User Mode Linux.
    variables: Mapping[str, Mapping[str, Any]]
    share_variables: Mapping[str, Mapping[str, Any]]
    uml_variables: Mapping[str, Any]
    acceptance: Mapping[str, Any]

    def host_names(self, counts: Mapping[str, int]) -> list[str]:
        """Names of all hosts, with `counts` (kind -> number) in place of the default numbers."""
        return [
            f"{kind.name}{number}"
            for kind in self.kinds.values()
            for number in range(1, counts.get(kind.name, kind.count) + 1)
        ]

    def kind_of(self, host: str) -> Kind:
        """The kind a host's name stands for, such as `bbb` for `bbb12`; LabError for any other name."""
        prefix = host.rstrip("0123456789")
        number = host[len(prefix) :]
        if prefix not in self.kinds or not number or number.startswith("0"):
            known = ", ".join(f"{name}1…" for name in self.kinds)
            raise LabError(f"{host!r} is no host of the topology; its hosts are {known}")
        return self.kinds[prefix]


def load(path: Path = TOPOLOGY_FILE) -> Topology:
    """Read and check the topology; LabError names what is wrong in the file."""
    try:
        raw = yaml.safe_load(path.read_text())
        topology = Topology(
            domain=raw["domain"],
            public_name=raw["public_name"],
            kinds={name: _kind(name, entry) for name, entry in raw["kinds"].items()},
            images={name: _image(name, entry) for name, entry in raw["images"].items()},
            simulator=Simulator(**raw["simulator"]),
            variables=raw["variables"],
            share_variables=raw["share_variables"],
            uml_variables=raw["uml_variables"],
            acceptance=raw["acceptance"],
        )
    except (KeyError, TypeError, yaml.YAMLError) as error:
        raise LabError(f"{path}: {type(error).__name__}: {error}") from error
    _check(topology, path)
    return topology


def _kind(name: str, entry: Mapping[str, Any]) -> Kind:
    return Kind(
        name=name,
        count=int(entry["count"]),
        option=entry["option"],
        groups=tuple(entry["groups"]),
        image=entry["image"],
        uml=entry["uml"],
    )


def _image(name: str, entry: Mapping[str, Any]) -> Image:
    return Image(
        name=name,
        parent=entry.get("parent"),
        install=tuple(entry.get("install", ())),
        download=tuple(entry.get("download", ())),
        suite=entry.get("suite"),
        mirror=entry.get("mirror"),
        security_mirror=entry.get("security_mirror"),
    )


def _check(topology: Topology, path: Path) -> None:
    for kind in topology.kinds.values():
        wanted = [kind.image] if kind.uml == "none" else [kind.image, f"{kind.image}-uml"]
        for name in wanted:
            if name not in topology.images:
                raise LabError(f"{path}: kind {kind.name} wants image {name}, which is not described")
        if kind.uml not in ("all", "first", "none"):
            raise LabError(f"{path}: kind {kind.name}: uml is {kind.uml!r}, but must be all, first or none")
    for image in topology.images.values():
        if image.parent is None and not (image.suite and image.mirror):
            raise LabError(f"{path}: image {image.name} needs a parent, or a suite and a mirror")
        if image.parent is not None and image.parent not in topology.images:
            raise LabError(f"{path}: image {image.name} has parent {image.parent}, which is not described")
