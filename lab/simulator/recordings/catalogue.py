"""The recordings on disk, as getRecordings reads them (reference 3.12, 5.2)."""

import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from lab.simulator.recordings import metadata
from lab.simulator.recordings.tree import Tree

#: Directories that hold a state's formats.
_PLACES = {
    "processing": "recording/process",
    "processed": "recording/process",
    "published": "published",
    "unpublished": "unpublished",
    "deleted": "deleted",
}
ANY = tuple(_PLACES)


@dataclass(frozen=True, slots=True)
class Format:
    """One format's directory with its metadata."""

    path: Path
    record_id: str
    playback: str
    document: ElementTree.Element

    def text(self, name: str) -> str:
        """Return a metadata element's text, empty if absent."""
        return self.document.findtext(name) or ""

    def meta(self) -> dict[str, str]:
        """Return the meta_ values."""
        return {item.tag: item.text or "" for item in self.document.iterfind("meta/*")}


def formats(tree: Tree, states: Iterable[str]) -> Iterator[Format]:
    """Read every format in the given states; `any` stands for all of them."""
    wanted = set(states)
    if "any" in wanted:
        wanted = set(ANY)
    for place in dict.fromkeys(_PLACES[state] for state in _PLACES if state in wanted):
        for path in sorted((tree.base / place).glob("*/*/metadata.xml")):
            try:
                document = ElementTree.parse(path).getroot()  # noqa: S314  the node's own file
            except (ElementTree.ParseError, FileNotFoundError):
                # It is being written or moved at this moment; a node skips what it cannot read.
                continue
            state = "published" if document.findtext("state") == "available" else document.findtext("state")
            if state in wanted:
                yield Format(path.parent, path.parent.name, path.parent.parent.name, document)


def exists(tree: Tree, record_ids: Iterable[str]) -> bool:
    """Return whether any of the ids is published or unpublished."""
    wanted = {record_id.lower() for record_id in record_ids}
    return any(found.record_id.lower() in wanted for found in formats(tree, ("published", "unpublished")))


def move(tree: Tree, record_ids: Iterable[str], states: tuple[str, ...], target: str) -> list[Format]:
    """Move formats of the ids from `states` to `target` and update their metadata; return them."""
    wanted = {record_id.lower() for record_id in record_ids}
    moved = [found for found in formats(tree, states) if found.record_id.lower() in wanted]
    for found in moved:
        place = tree.place(target, found.playback, found.record_id)
        place.parent.mkdir(parents=True, exist_ok=True)
        found.path.rename(place)
        changes = {"state": target, "published": str(target == "published").lower()}
        metadata.rewrite(place / "metadata.xml", changes)
    return moved


def update(tree: Tree, record_ids: list[str], meta: list[tuple[str, str]]) -> None:
    """Change the metadata of every format whose id starts with one of the given ids, deleted ones included."""
    for found in formats(tree, ("published", "unpublished", "deleted")):
        if found.record_id.startswith(tuple(record_ids)):
            metadata.rewrite(found.path / "metadata.xml", {}, meta)
