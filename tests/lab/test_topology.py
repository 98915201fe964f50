from pathlib import Path

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


def test_a_host_name_tells_its_kind(default_topology: Topology) -> None:
    assert default_topology.kind_of("bbb12").groups == ("nodes",)


@pytest.mark.parametrize("name", ["web1", "bbb", "bbb0", "bbb01", "1", ""])
def test_a_name_that_is_no_host_is_refused_with_those_that_are(default_topology: Topology, name: str) -> None:
    with pytest.raises(LabError, match=r"storage1…, db1…, lb1…, balancer1…, edge1…, bbb1…"):
        default_topology.kind_of(name)


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (("kinds", "bbb", "image"), "nothing", "kind bbb wants image nothing"),
        (("kinds", "db", "uml"), "some", "uml is 'some'"),
        (("images", "node", "parent"), "nothing", "image node has parent nothing"),
        (("images", "base", "mirror"), None, "image base needs a parent, or a suite and a mirror"),
    ],
)
def test_a_mistake_in_the_file_is_named(tmp_path: Path, path: tuple[str, ...], value: object, said: str) -> None:
    content = yaml.safe_load(TOPOLOGY_FILE.read_text())
    entry = content
    for key in path[:-1]:
        entry = entry[key]
    entry[path[-1]] = value
    changed = tmp_path / "topology.yml"
    changed.write_text(yaml.safe_dump(content))
    with pytest.raises(LabError, match=said):
        topology.load(changed)


def test_a_missing_key_is_named_with_the_file(tmp_path: Path) -> None:
    content = yaml.safe_load(TOPOLOGY_FILE.read_text())
    del content["kinds"]["lb"]["groups"]
    changed = tmp_path / "topology.yml"
    changed.write_text(yaml.safe_dump(content))
    with pytest.raises(LabError, match=r"topology\.yml.*groups"):
        topology.load(changed)


def test_an_image_is_built_anew_when_its_parent_changes(tmp_path: Path, default_topology: Topology) -> None:
    content = yaml.safe_load(TOPOLOGY_FILE.read_text())
    content["images"]["base"]["install"].append("tree")
    changed = tmp_path / "topology.yml"
    changed.write_text(yaml.safe_dump(content))
    other = topology.load(changed)
    assert image.key(other.images["node"], other) != image.key(default_topology.images["node"], default_topology)


def test_an_image_is_not_built_anew_when_its_sister_changes(tmp_path: Path, default_topology: Topology) -> None:
    content = yaml.safe_load(TOPOLOGY_FILE.read_text())
    content["images"]["service"]["download"].append("tree")
    changed = tmp_path / "topology.yml"
    changed.write_text(yaml.safe_dump(content))
    other = topology.load(changed)
    assert image.key(other.images["node"], other) == image.key(default_topology.images["node"], default_topology)
