"""Playable media, created once by ffmpeg and kept in a cache."""

import os
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

#: Part of the cache's name; change it together with the recipes below.
_EDITION = "1"
_SECONDS = 4
_PICTURE = ["-f", "lavfi", "-i", f"testsrc=size=320x240:rate=10:duration={_SECONDS}"]
_SOUND = ["-f", "lavfi", "-i", f"sine=frequency=440:duration={_SECONDS}"]
_VP8 = ["-c:v", "libvpx", "-b:v", "120k", "-deadline", "realtime", "-cpu-used", "8"]
_OPUS = ["-c:a", "libopus", "-b:a", "24k"]
_MP4 = ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-c:a", "aac", "-b:a", "48k"]

_RECIPES = {
    "webcams.webm": [*_PICTURE, *_SOUND, *_VP8, *_OPUS],
    "deskshare.webm": [*_PICTURE, *_VP8],
    "video-0.m4v": [*_PICTURE, *_SOUND, *_MP4, "-movflags", "+faststart", "-f", "mp4"],
    "audio.ogg": [*_SOUND, "-c:a", "libvorbis", "-b:a", "48k"],
    "slide.png": ["-f", "lavfi", "-i", "smptebars=size=800x600", "-frames:v", "1"],
    "thumb.png": ["-f", "lavfi", "-i", "smptebars=size=176x136", "-frames:v", "1"],
}


class MediaError(Exception):
    """The media could not be created."""


def cache_directory() -> Path:
    """Return the directory of the media: BBB_SIMULATOR_MEDIA, else in the user's cache."""
    given = os.environ.get("BBB_SIMULATOR_MEDIA")
    if given:
        return Path(given)
    user = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    return user / f"bbb-simulator/media-{_EDITION}"


@cache
def media() -> Path:
    """Return a directory with all files of the recipes; raises MediaError if ffmpeg is needed and missing."""
    directory = cache_directory()
    if not all((directory / name).is_file() for name in _RECIPES):
        _fill(directory)
    return directory


def _fill(directory: Path) -> None:
    directory.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix="media-", dir=directory.parent))
    try:
        for name, recipe in _RECIPES.items():
            _make(staging / name, recipe)
        directory.mkdir(exist_ok=True)
        # Moved file by file, because another process may be filling the same cache.
        for made in staging.iterdir():
            made.replace(directory / made.name)
    finally:
        shutil.rmtree(staging)


def _make(target: Path, recipe: list[str]) -> None:
    command = ["ffmpeg", "-nostdin", "-loglevel", "error", "-threads", "1", *recipe, os.fspath(target)]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True)
    except FileNotFoundError as error:
        raise MediaError("ffmpeg is missing: install it, or point BBB_SIMULATOR_MEDIA at ready files") from error
    except subprocess.CalledProcessError as error:
        raise MediaError(f"ffmpeg could not make {target.name}: {error.stderr.strip()}") from error
