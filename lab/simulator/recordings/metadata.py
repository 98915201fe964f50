"""metadata.xml of each format (reference 5.3)."""

import hashlib
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from pathlib import Path
from xml.sax.saxutils import quoteattr

from lab.simulator.answers import element
from lab.simulator.recordings.archive import Archive

_LINKS = {
    "presentation": "/playback/presentation/2.3/{id}",
    "video": "/playback/video/{id}/",
    "podcast": "/podcast/{id}/audio.ogg",
}


def link(origin: str, playback: str, record_id: str) -> str:
    """Return a format's playback address."""
    return origin + _LINKS[playback].replace("{id}", record_id)


def presentation_id(archive: Archive, document: str) -> str:
    """Return the directory name of a presentation: a hash of its name and a time."""
    return f"{hashlib.sha1(document.encode(), usedforsecurity=False).hexdigest()}-{archive.start + 10}"


def processing(archive: Archive, state: str) -> str:
    """Write the metadata of a format in progress: state `processing` or `processed`."""
    return _document(archive, state, published=False, meeting=True, after="<playback/>")


def presentation(archive: Archive, origin: str, milliseconds: int, sizes: tuple[int, int]) -> str:
    """Write presentation's metadata; `sizes` are those of the format and of the raw archive in bytes."""
    images = "".join(_image(archive, origin, number) for number in (1, 2, 3)) if archive.documents else ""
    extensions = f"<extensions><preview><images>{images}</images></preview></extensions>" if images else ""
    playback = _playback(
        archive, origin, "presentation", element("processing_time", milliseconds), extensions, element("size", sizes[0])
    )
    raw = element("raw_size", sizes[1])
    return _document(archive, "published", published=True, meeting=True, after=playback + "\n  " + raw)


def video(archive: Archive, origin: str, milliseconds: int) -> str:
    """Write video's metadata: state `available`, without meeting and sizes."""
    playback = _playback(archive, origin, "video", element("processing_time", milliseconds))
    return _document(archive, "available", published=True, meeting=False, after=playback)


def podcast(archive: Archive, origin: str) -> str:
    """Write podcast's metadata, which has no processing time."""
    playback = _playback(archive, origin, "podcast")
    return _document(archive, "published", published=True, meeting=True, after=playback)


def _image(archive: Archive, origin: str, number: int) -> str:
    name = presentation_id(archive, archive.documents[0])
    url = f"{origin}/presentation/{archive.record_id}/presentation/{name}/thumbnails/thumb-{number}.png"
    return f'<image width="176" height="136" alt="Slide {number}">{url}</image>'


def _playback(archive: Archive, origin: str, playback: str, *parts: str) -> str:
    time, rest = parts[:1], parts[1:]
    inner = (
        element("format", playback),
        element("link", link(origin, playback, archive.record_id)),
        *time,
        element("duration", archive.duration),
        *filter(None, rest),
    )
    return "<playback>\n    " + "\n    ".join(inner) + "\n  </playback>"


def _document(archive: Archive, state: str, *, published: bool, meeting: bool, after: str) -> str:
    about = (
        f"<meeting id={quoteattr(archive.record_id)} externalId={quoteattr(archive.meeting_id)}"
        f" name={quoteattr(archive.name)} breakout={quoteattr(str(archive.breakout).lower())}/>"
    )
    parts = [
        element("id", archive.record_id),
        element("state", state),
        element("published", published),
        element("start_time", archive.start),
        element("end_time", archive.end),
        *([element("participants", len(archive.participants)), about] if meeting else []),
        "<meta>" + "".join(element(*item) for item in archive.metadata.items()) + "</meta>",
        after,
    ]
    return "<recording>\n  " + "\n  ".join(parts) + "\n</recording>\n"


def rewrite(path: Path, changes: dict[str, str], meta: Sequence[tuple[str, str]] = ()) -> None:
    """Change top-level elements, and keys of meta (an empty value removes its key)."""
    document = ElementTree.parse(path)  # noqa: S314  the node's own file
    root = document.getroot()
    for name, text in changes.items():
        found = root.find(name)
        if found is not None:
            found.text = text
    section = root.find("meta")
    if section is not None:
        for key, value in meta:
            _set(section, key, value)
    staged = path.with_suffix(".new")
    document.write(staged, encoding="utf-8", xml_declaration=False)
    staged.replace(path)


def _set(section: ElementTree.Element, key: str, value: str) -> None:
    found = section.find(key)
    if not value:
        if found is not None:
            section.remove(found)
        return
    (ElementTree.SubElement(section, key) if found is None else found).text = value
