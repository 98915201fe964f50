"""From a meeting's end to the recording worker (reference 3.2.7 step 4)."""

import shutil
from collections.abc import Callable
from typing import Any

from lab.simulator.background import Background
from lab.simulator.host.properties import OVERRIDES, assign
from lab.simulator.meetings import Meeting, User
from lab.simulator.recordings import archive
from lab.simulator.recordings.tree import Tree
from lab.simulator.recordings.worker import Pipeline, Worker, rebuild
from lab.simulator.settings import NodeSettings


class Recorder:
    """Archives meetings that end, and runs the worker unless the host has its own."""

    def __init__(self, background: Background, settings: Callable[[], NodeSettings], tree: Tree) -> None:
        self._background, self._settings, self._tree = background, settings, tree
        pipeline = Pipeline(lambda: settings().server_url, lambda: settings().formats)
        self.worker = Worker(tree, pipeline)
        self._runs = False

    def resume(self) -> None:
        """Continue with recordings that an earlier process of this node left on disk."""
        if (self._tree.base / "recording/status").is_dir():
            self._run_worker()

    def on_event(self, event: str, meeting: Meeting, user: User | None) -> None:
        """Handle an event of a node's meetings."""
        if event != "ended" or not (meeting.record or meeting.keep_events):
            return
        self._tree.make()
        events = self._tree.raw(meeting.internal_id) / "events.xml"
        archive.write(meeting, events)
        if meeting.keep_events:
            kept = self._tree.base / "events" / meeting.internal_id / "events.xml"
            kept.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(events, kept)
        if meeting.record:
            self._tree.status("recorded", meeting.internal_id).touch()
            self._run_worker()
        if meeting.keep_events:
            self._tree.status("ended", meeting.internal_id).touch()

    def rebuild(self, record_id: str) -> None:
        """Make a recording again from its raw archive, under the same id."""
        rebuild(self._tree, record_id, list(self._settings().formats))
        self._run_worker()

    def state(self) -> dict[str, Any]:
        """Return the state on disk, for the control API."""
        base = self._tree.base / "recording/status"
        files = sorted(path.relative_to(base).as_posix() for path in base.glob("*/*"))
        return {"busy": self.worker.busy(), "status": files}

    def _write_secret(self) -> None:
        """Write the node's secret to the file from which BBB's own post script reads it; a host has that file."""
        path, settings = self._tree.root / OVERRIDES, self._settings()
        values = {"bigbluebutton.web.serverURL": settings.server_url, "securitySalt": settings.secret}
        if assign(path, "=", values):
            path.chmod(0o640)

    def _run_worker(self) -> None:
        if not self._settings().processes_recordings:
            return
        if not self._runs:
            self._runs = True
            self._tree.ship_scripts()
            self._write_secret()
            self._background.spawn(self.worker.run())
        self.worker.wake()
