"""`python -m lab.simulator.recordings`: the worker as a separate process, as in a host's unit."""

import argparse
import asyncio
import logging
import signal
from pathlib import Path

from lab.simulator.host.properties import playback_origin
from lab.simulator.options import DEFAULT_FORMATS, playback_format
from lab.simulator.recordings.tree import Tree
from lab.simulator.recordings.worker import Pipeline, Worker


async def work(root: Path, formats: dict[str, float]) -> None:
    """Run the worker until a signal arrives."""
    tree = Tree(root)
    tree.make()
    pipeline = Pipeline(lambda: playback_origin(root), lambda: formats)
    task = asyncio.create_task(Worker(tree, pipeline).run())
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    try:
        await task
    except asyncio.CancelledError:
        return


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="python -m lab.simulator.recordings")
    parser.add_argument("--root", type=Path, default=Path("/"))
    parser.add_argument("--format", action="append", type=playback_format, metavar="NAME=SECONDS", help="repeatable")
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    asyncio.run(work(given.root, dict(given.format or DEFAULT_FORMATS)))


if __name__ == "__main__":
    main()
