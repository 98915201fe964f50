"""The directories of recordings on a node's disk (reference 5.1)."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

RECORD_ID = re.compile(r"[0-9a-f]+-[0-9]+")
_SHIPPED = Path(__file__).parent / "bbb_scripts"
_STEPS = ("recorded", "ended", "archived", "sanity", "processed", "published")
_PLACES = ("published", "unpublished", "deleted", "recording/raw", "recording/process", "recording/publish")


@dataclass(frozen=True, slots=True)
class Tree:
    """The directories of one node below its root."""

    root: Path

    @property
    def base(self) -> Path:
        """var/bigbluebutton."""
        return self.root / "var/bigbluebutton"

    @property
    def scripts(self) -> Path:
        """core/scripts, the working directory of every post script."""
        return self.root / "usr/local/bigbluebutton/core/scripts"

    def make(self) -> None:
        """Create the directories that a fresh node has."""
        for step in _STEPS:
            (self.base / "recording/status" / step).mkdir(parents=True, exist_ok=True)
        for place in (*_PLACES, "captions/inbox", "events"):
            (self.base / place).mkdir(parents=True, exist_ok=True)
        (self.scripts / "post_publish").mkdir(parents=True, exist_ok=True)

    def ship_scripts(self) -> None:
        """Install the post scripts that BBB itself ships; other scripts are kept."""
        for script in _SHIPPED.glob("*.rb"):
            target = self.scripts / "post_publish" / script.name
            if not target.exists() or target.read_bytes() != script.read_bytes():
                target.write_bytes(script.read_bytes())
                target.chmod(0o755)

    def raw(self, record_id: str) -> Path:
        """The archive of a meeting."""
        return self.base / "recording/raw" / record_id

    def status(self, step: str, record_id: str, playback: str = "", ending: str = "done") -> Path:
        """A status file; for processed and published `playback` is the format."""
        name = f"{record_id}-{playback}" if playback else record_id
        return self.base / "recording/status" / step / f"{name}.{ending}"

    def work(self, step: str, playback: str, record_id: str) -> Path:
        """The work directory of a step, `process` or `publish`."""
        return self.base / "recording" / step / playback / record_id

    def place(self, state: str, playback: str, record_id: str) -> Path:
        """A format's directory in published, unpublished or deleted."""
        return self.base / state / playback / record_id

    def captions(self, record_id: str) -> Path:
        """The uploaded or recorded text tracks."""
        return self.base / "captions" / record_id

    def waiting(self) -> Iterator[str]:
        """Meetings that have ended and are not archived."""
        for done in sorted(self.status("recorded", "x").parent.glob("*.done")):
            yield done.stem

    def archived(self) -> Iterator[str]:
        """Recordings that have passed the archive step."""
        for done in sorted(self.status("archived", "x").parent.glob("*.done")):
            yield done.stem
