"""`bbb-record` of a simulated node: list, rebuild, delete (reference 5.7)."""

import argparse
import shutil
import sys
from pathlib import Path

from lab.simulator.recordings.tree import RECORD_ID, Tree
from lab.simulator.recordings.worker import rebuild

_FORMATS = ("presentation", "video", "podcast")


def delete(tree: Tree, record_id: str) -> None:
    """Remove a recording with its raw archive and status files."""
    for path in (tree.raw(record_id), tree.captions(record_id)):
        shutil.rmtree(path, ignore_errors=True)
    for state in ("published", "unpublished", "deleted"):
        for path in (tree.base / state).glob(f"*/{record_id}"):
            shutil.rmtree(path)
    for path in (tree.base / "recording/status").glob(f"*/{record_id}*"):
        path.unlink()


def listed(tree: Tree) -> list[str]:
    """Return a line for each raw archive: its id and the published formats."""
    lines = []
    for raw in sorted((tree.base / "recording/raw").iterdir()):
        formats = sorted(path.parent.name for path in (tree.base / "published").glob(f"*/{raw.name}"))
        lines.append(f"{raw.name}  {','.join(formats) or '-'}")
    return lines


def main() -> int:
    """Entry point; prints one line and returns exit status 1 for an id that it cannot process."""
    parser = argparse.ArgumentParser(prog="bbb-record")
    action = parser.add_mutually_exclusive_group(required=True)
    action.add_argument("--list", action="store_true")
    action.add_argument("--rebuild", metavar="ID")
    action.add_argument("--delete", metavar="ID")
    parser.add_argument("--root", type=Path, default=Path("/"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    tree, record_id = Tree(given.root), given.rebuild or given.delete
    if record_id and not RECORD_ID.fullmatch(record_id):
        print(f"{record_id} is not a recording id", file=sys.stderr)
        return 1
    try:
        if given.list:
            print("\n".join(listed(tree)))
        elif given.rebuild:
            rebuild(tree, record_id, [name for name in _FORMATS if _was_made(tree, name, record_id)])
        else:
            delete(tree, record_id)
    except FileNotFoundError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _was_made(tree: Tree, playback: str, record_id: str) -> bool:
    return any(tree.status("published", record_id, playback, ending).exists() for ending in ("done", "fail"))


if __name__ == "__main__":
    sys.exit(main())
