"""The files of each playback format (reference 5.3, 5.4)."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

from lab.simulator.recordings import metadata
from lab.simulator.recordings.archive import Archive
from lab.simulator.recordings.media import media

_DEFAULT = "default.pdf"
_VTT = "WEBVTT\n\n1\n00:00:00.000 --> 00:00:02.000\nHello\n\n2\n00:00:02.000 --> 00:00:04.000\nand welcome\n"
_CAPTIONS = [{"locale": "en", "localeName": "English"}]


def make(playback: str, archive: Archive, raw: Path, target: Path, origin: str, milliseconds: int) -> None:
    """Fill `target` with a format's files, metadata.xml last."""
    target.mkdir(parents=True)
    _MAKERS[playback](archive, target)
    if playback == "presentation":
        text = metadata.presentation(archive, origin, milliseconds, (size(target), size(raw)))
    elif playback == "video":
        text = metadata.video(archive, origin, milliseconds)
    else:
        text = metadata.podcast(archive, origin)
    (target / "metadata.xml").write_text(text, encoding="utf-8")


def size(directory: Path) -> int:
    """Return the total size in bytes of the files below a directory."""
    return sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())


def is_known(playback: str) -> bool:
    """Return whether the simulator can make a format."""
    return playback in _MAKERS


def _presentation(archive: Archive, target: Path) -> None:
    documents = archive.documents or (_DEFAULT,)
    names = [metadata.presentation_id(archive, document) for document in documents]
    for name in names:
        _slides(target / "presentation" / name)
    seconds = archive.duration / 1000
    texts = {name: {f"slide-{n}": f"Slide {n}" for n in (1, 2, 3)} for name in names}
    _write(
        target,
        {
            "shapes.svg": _shapes(names[0], seconds),
            "panzooms.xml": '<recording id="panzoom_events"><event timestamp="0.0">'
            "<viewBox>0 0 800.0 600.0</viewBox></event></recording>\n",
            "cursor.xml": '<recording id="cursor_events"><event timestamp="0.0">'
            "<cursor>-1.0 -1.0</cursor></event></recording>\n",
            "slides_new.xml": _chat(archive),
            "deskshare.xml": '<recording id="deskshare_events"><event start_timestamp="0.0" '
            f'stop_timestamp="{min(seconds, 4.0):.1f}" video_width="320" video_height="240"/></recording>\n',
            "presentation_text.json": json.dumps(texts),
            "polls.json": "[]",
            "external_videos.json": "[]",
            "tldraw.json": "{}",
            "notes.html": '<!DOCTYPE html>\n<html lang="en"><head><title>Notes</title></head>'
            "<body>Notes</body></html>\n",
            "captions.json": json.dumps(_CAPTIONS),
            "caption_en.vtt": _VTT,
        },
    )
    _copy("webcams.webm", target / "video/webcams.webm")
    _copy("deskshare.webm", target / "deskshare/deskshare.webm")


def _slides(directory: Path) -> None:
    for number in (1, 2, 3):
        _copy("slide.png", directory / f"slide-{number}.png")
        _copy("thumb.png", directory / f"thumbnails/thumb-{number}.png")
        _write(
            directory,
            {
                f"svgs/slide{number}.svg": '<svg xmlns="http://www.w3.org/2000/svg" width="800" height="600" '
                f'viewBox="0 0 800 600"><rect width="800" height="600" fill="#fff"/>'
                f'<text x="60" y="120" font-size="64">Slide {number}</text></svg>\n',
                f"textfiles/slide-{number}.txt": f"Slide {number}\n",
            },
        )


def _shapes(name: str, seconds: float) -> str:
    third = seconds / 3
    images = "".join(
        f'<image id="image{n}" class="slide" in="{(n - 1) * third:.1f}" out="{n * third:.1f}" '
        f'xlink:href="presentation/{name}/svgs/slide{n}.svg" width="800" height="600" x="0" y="0" '
        f'style="visibility:hidden" text="presentation/{name}/textfiles/slide-{n}.txt"/>'
        for n in (1, 2, 3)
    )
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" id="svgfile" '
        f'version="1.1" viewBox="0 0 800 600">{images}</svg>\n'
    )


def _chat(archive: Archive) -> str:
    lines = "".join(
        f'<chattimeline in="{at // 1000}" direction="down" name={quoteattr(name)} message={quoteattr(text)} '
        'target="chat"/>'
        for at, name, text in archive.chat
    )
    return f"<popcorn>{lines}</popcorn>\n"


def _video(archive: Archive, target: Path) -> None:
    _write(
        target,
        {
            "index.html": '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
            f'<title>{escape(archive.name)}</title><link rel="stylesheet" href="css/video.css"></head><body>'
            f'<main><h1>{escape(archive.name)}</h1><video controls src="video-0.m4v">'
            '<track kind="captions" srclang="en" label="English" src="caption_en.vtt"></video></main>'
            '<script src="js/video.js"></script></body></html>\n',
            "css/video.css": "video { max-width: 100%; }\n",
            "js/video.js": 'document.querySelector("video").preload = "metadata";\n',
            "video.xml": '<video><media src="video-0.m4v" type="video/mp4"/></video>\n',
            "captions.json": json.dumps(_CAPTIONS),
            "caption_en.vtt": _VTT,
        },
    )
    _copy("video-0.m4v", target / "video-0.m4v")


def _podcast(archive: Archive, target: Path) -> None:
    _copy("audio.ogg", target / "audio.ogg")


_MAKERS: dict[str, Callable[[Archive, Path], None]] = {
    "presentation": _presentation,
    "video": _video,
    "podcast": _podcast,
}


def captions(target: Path) -> None:
    """Write the text tracks that getRecordingTextTracks lists."""
    track = {"kind": "subtitles", "label": "English", "lang": "en-US", "source": "live"}
    _write(target, {"captions.json": json.dumps([track]), "subtitles_en-US.vtt": _VTT})


def _write(directory: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def _copy(name: str, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(os.fspath(media() / name), os.fspath(target))
