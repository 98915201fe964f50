"""The recording pipeline: archive, process and publish each format, run the post scripts (reference 5.5).

It only reads and writes the disk, so it runs inside a node's process or, on a host, as a separate unit.
"""

import asyncio
import logging
import shutil
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from lab.simulator.recordings import archive, formats, metadata, post_scripts
from lab.simulator.recordings.media import MediaError
from lab.simulator.recordings.tree import Tree

#: Seconds between two checks of the status directories if `wake` is not called.
_CHECK_INTERVAL = 1.0
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Pipeline:
    """The worker's settings, which are read again for each recording."""

    #: playback_protocol://playback_host
    origin: Callable[[], str]
    #: Processing times in seconds by format.
    formats: Callable[[], dict[str, float]]


class Worker:
    """Takes every recorded meeting through the steps, each format independently."""

    def __init__(self, tree: Tree, pipeline: Pipeline) -> None:
        self._tree, self._pipeline = tree, pipeline
        self._wake = asyncio.Event()
        self._busy: dict[tuple[str, str], asyncio.Task[None]] = {}
        # A node has one worker process, so post scripts never overlap.
        self._scripts = asyncio.Lock()

    def wake(self) -> None:
        """Report that a meeting has just ended."""
        self._wake.set()

    async def run(self) -> None:
        """Work until cancelled; a step that fails leaves a `.fail` file and does not stop other steps."""
        try:
            while True:
                self.start_waiting()
                try:
                    await asyncio.wait_for(self._wake.wait(), _CHECK_INTERVAL)
                except TimeoutError:
                    continue
                self._wake.clear()
        finally:
            tasks = list(self._busy.values())
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def start_waiting(self) -> None:
        """Start everything that waits on disk and is not in progress."""
        for record_id in self._tree.waiting():
            self._archive(record_id)
        for record_id in self._tree.archived():
            for playback, seconds in self._pipeline.formats().items():
                if self._wanted(record_id, playback):
                    self._start((record_id, playback), self._make(record_id, playback, seconds))

    def busy(self) -> list[dict[str, str]]:
        """Return the recordings and formats in progress, for the control API."""
        return [{"recordID": record_id, "format": playback} for record_id, playback in self._busy]

    def _wanted(self, record_id: str, playback: str) -> bool:
        tree = self._tree
        ended = any(tree.status("published", record_id, playback, end).exists() for end in ("done", "fail"))
        return not ended and (record_id, playback) not in self._busy and tree.raw(record_id).is_dir()

    def _start(self, key: tuple[str, str], work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._busy[key] = task
        task.add_done_callback(lambda _: self._busy.pop(key, None))

    def _archive(self, record_id: str) -> None:
        """Archive, check and caption a meeting; a meeting without users or record marks ends here."""
        tree = self._tree
        found = archive.read(tree.raw(record_id) / "events.xml")
        if found.marked and found.participants:
            formats.captions(tree.captions(record_id))
            tree.status("sanity", record_id).touch()
            tree.status("archived", record_id).touch()
        else:
            tree.status("archived", record_id, ending="norecord").touch()
        tree.status("recorded", record_id).unlink()

    async def _make(self, record_id: str, playback: str, seconds: float) -> None:
        try:
            await self._process(record_id, playback, seconds)
            await asyncio.to_thread(self._publish, record_id, playback, seconds)
        except (OSError, ValueError, MediaError) as error:
            log.error("%s of %s failed: %s", playback, record_id, error)
            self._tree.status("published", record_id, playback, "fail").touch()
            return
        async with self._scripts:
            await post_scripts.run_post_publish(self._tree, record_id, playback)

    async def _process(self, record_id: str, playback: str, seconds: float) -> None:
        tree, found = self._tree, archive.read(self._tree.raw(record_id) / "events.xml")
        work = tree.work("process", playback, record_id)
        work.mkdir(parents=True, exist_ok=True)
        path = work / "metadata.xml"
        path.write_text(metadata.processing(found, "processing"), encoding="utf-8")
        await asyncio.sleep(seconds)
        path.write_text(metadata.processing(found, "processed"), encoding="utf-8")
        tree.status("processed", record_id, playback).touch()

    def _publish(self, record_id: str, playback: str, seconds: float) -> None:
        tree = self._tree
        staged = tree.work("publish", playback, record_id)
        shutil.rmtree(staged, ignore_errors=True)
        started = time.monotonic()
        found = archive.read(tree.raw(record_id) / "events.xml")
        milliseconds = int(seconds * 1000)
        formats.make(playback, found, tree.raw(record_id), staged, self._pipeline.origin(), milliseconds)
        # Like cp_r on a node, so that the directory exists before it is complete.
        shutil.copytree(staged, tree.place("published", playback, record_id), dirs_exist_ok=True)
        shutil.rmtree(staged)
        shutil.rmtree(tree.work("process", playback, record_id))
        tree.status("published", record_id, playback).touch()
        log.info("published %s of %s in %.1f s", playback, record_id, time.monotonic() - started)


def rebuild(tree: Tree, record_id: str, playbacks: list[str]) -> None:
    """Prepare the re-creation of a recording from its raw archive, as bbb-record --rebuild does."""
    if not tree.raw(record_id).is_dir():
        raise FileNotFoundError(f"{record_id} cannot be rebuilt: it has no raw archive")
    for playback in playbacks:
        for step in ("processed", "published"):
            for ending in ("done", "fail"):
                tree.status(step, record_id, playback, ending).unlink(missing_ok=True)
        for state in ("published", "unpublished", "deleted"):
            shutil.rmtree(tree.place(state, playback, record_id), ignore_errors=True)
    tree.status("archived", record_id, ending="norecord").unlink(missing_ok=True)
    tree.status("archived", record_id).touch()
