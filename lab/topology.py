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
    uml: tuple[str, ...]

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
        kinds = {name: _kind(name, entry) for name, entry in raw["kinds"].items()}
        images = {name: _image(name, entry) for name, entry in raw["images"].items()}
        topology = Topology(raw["domain"], raw["public_name"], kinds, images, tuple(raw["uml"]))
    except (KeyError, TypeError, yaml.YAMLError) as error:
        raise LabError(f"{path}: {type(error).__name__}: {error}") from error
    _check(topology, path)
    return topology


def _kind(name: str, entry: Mapping[str, Any]) -> Kind:
    return Kind(name, int(entry["count"]), entry["option"], tuple(entry["groups"]), entry["image"])


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
        if kind.image not in topology.images:
            raise LabError(f"{path}: kind {kind.name} wants image {kind.image}, which is not described")
    for host in topology.uml:
        if f"{topology.kind_of(host).image}-uml" not in topology.images:
            raise LabError(
                f"{path}: {host} is to run in User Mode Linux, but {topology.kind_of(host).image}-uml is not described"
            )
    for image in topology.images.values():
        if image.parent is None and not (image.suite and image.mirror):
            raise LabError(f"{path}: image {image.name} needs a parent, or a suite and a mirror")
        if image.parent is not None and image.parent not in topology.images:
            raise LabError(f"{path}: image {image.name} has parent {image.parent}, which is not described")
