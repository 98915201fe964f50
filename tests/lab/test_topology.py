from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from lab import image, topology
from lab.errors import LabError
from lab.topology import TOPOLOGY_FILE, Topology


def test_default_hosts_are_those_of_the_documentation(default_topology: Topology) -> None:
    assert default_topology.host_names({}) == ["storage1", "db1", "lb1", "bbb1", "bbb2", "bbb3"]


def test_any_number_of_each_kind_can_be_asked_for(default_topology: Topology) -> None:
    names = default_topology.host_names({"bbb": 5, "lb": 2, "db": 0})
    assert names == ["storage1", "lb1", "lb2", "bbb1", "bbb2", "bbb3", "bbb4", "bbb5"]


def test_a_host_name_determines_its_kind(default_topology: Topology) -> None:
    assert default_topology.kind_of("bbb12").groups == ("nodes",)


@pytest.mark.parametrize("name", ["web1", "bbb", "bbb0", "bbb01", "1", ""])
def test_an_unknown_host_name_is_refused_with_the_known_kinds(default_topology: Topology, name: str) -> None:
    with pytest.raises(LabError, match=r"storage1…, db1…, lb1…, balancer1…, edge1…, bbb1…"):
        default_topology.kind_of(name)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("kinds", "bbb", "image"), "nothing", "kind bbb wants image nothing"),
        (("kinds", "db", "uml"), "some", "uml is 'some'"),
        (("images", "node", "parent"), "nothing", "image node has parent nothing"),
        (("images", "base", "mirror"), None, "image base needs a parent, or a suite and a mirror"),
    ],
)
def test_a_mistake_in_the_file_is_named(tmp_path: Path, path: tuple[str, ...], value: object, message: str) -> None:
    def set_value(content: dict[str, Any]) -> None:
        for key in path[:-1]:
            content = content[key]
        content[path[-1]] = value

    with pytest.raises(LabError, match=message):
        topology.load(_changed(tmp_path, set_value))


def test_a_missing_key_is_named_with_the_file(tmp_path: Path) -> None:
    changed = _changed(tmp_path, lambda content: content["kinds"]["lb"].pop("groups"))
    with pytest.raises(LabError, match=r"topology\.yml.*groups"):
        topology.load(changed)


@pytest.mark.parametrize(("changed", "same"), [("base", False), ("service", True)])
def test_an_image_is_rebuilt_only_if_its_own_layers_change(
    tmp_path: Path, default_topology: Topology, changed: str, same: bool
) -> None:
    other = topology.load(_changed(tmp_path, lambda content: content["images"][changed].update(download=["tree"])))
    keys = [image.key(each.images["node"], each) for each in (default_topology, other)]
    assert (keys[0] == keys[1]) is same


def _changed(directory: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    """A copy of the lab's topology with one change."""
    content = yaml.safe_load(TOPOLOGY_FILE.read_text())
    change(content)
    path = directory / "topology.yml"
    path.write_text(yaml.safe_dump(content))
    return path
