"""Archives as nodes send them, and invalid ones, built with tarfile and without the balancer's code."""

import io
import tarfile
from collections.abc import Iterable
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

RECORD_ID = "0123456789abcdef0123456789abcdef01234567-1757000000123"
OTHER_ID = "fedcba9876543210fedcba9876543210fedcba98-1757000000456"


def presentation_xml(
    record_id: str = RECORD_ID,
    *,
    meeting_id: str = "course-77",
    name: str = "Algebra",
    state: str = "published",
    published: str = "true",
    meta: str = "<bbb-origin>moodle</bbb-origin>",
    extra: str = "",
    playback_format: str = "presentation",
    link: str | None = None,
) -> bytes:
    """A presentation's metadata.xml as BBB's publish script writes it (reference: record-and-playback)."""
    link = f"https://node1.example.org/playback/presentation/2.3/{record_id}" if link is None else link
    image = f"https://node1.example.org/presentation/{record_id}/presentation/d2d9-1/thumbnails/thumb-1.png"
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<recording>
  <id>{record_id}</id>
  <state>{state}</state>
  <published>{published}</published>
  <start_time>1757000000140</start_time>
  <end_time>1757003600900</end_time>
  <participants>7</participants>
  <meeting id="{record_id}" externalId={quoteattr(meeting_id)} name={quoteattr(name)} breakout="false"/>
  <meta>
    <isBreakout>false</isBreakout>
    <meetingId>{escape(meeting_id)}</meetingId>
    <meetingName>{escape(name)}</meetingName>
    {meta}
  </meta>
  <playback>
    <format>{playback_format}</format>
    <link>{link}</link>
    <processing_time>31442</processing_time>
    <duration>3600760</duration>
    <extensions><preview><images>
      <image width="176" height="136" alt="Slide one">{image}</image>
    </images></preview></extensions>
    <size>4100000</size>
  </playback>
  <raw_size>91237554</raw_size>
  {extra}
</recording>
""".encode()


def video_xml(record_id: str = RECORD_ID) -> bytes:
    """A video's metadata.xml: "available", and without meeting, participants or sizes."""
    return f"""<recording>
  <id>{record_id}</id><state>available</state><published>true</published>
  <start_time>1757000000140</start_time><end_time>1757003600900</end_time>
  <meta><meetingId>course-77</meetingId><meetingName>Algebra</meetingName></meta>
  <playback><format>video</format><link>https://node1.example.org/playback/video/{record_id}/</link>
  <processing_time>900</processing_time><duration>3600760</duration></playback>
</recording>""".encode()


def presentation(record_id: str = RECORD_ID, content: bytes = b"webm", xml: bytes | None = None) -> dict[str, bytes]:
    """The contents of a small presentation by member name."""
    root = f"presentation/{record_id}"
    return {
        f"{root}/metadata.xml": presentation_xml(record_id) if xml is None else xml,
        f"{root}/shapes.svg": b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        f"{root}/video/webcams.webm": content * 1000,
        f"{root}/presentation/d2d9-1/thumbnails/thumb-1.png": b"\x89PNG",
    }


def video(record_id: str = RECORD_ID) -> dict[str, bytes]:
    return {f"video/{record_id}/metadata.xml": video_xml(record_id), f"video/{record_id}/video-0.m4v": b"m4v" * 500}


def write(path: Path, files: dict[str, bytes], members: Iterable[tarfile.TarInfo] = ()) -> Path:
    """A tar with these files and then these members without content, moved into place with one rename."""
    temporary = path.with_name(f".{path.name}.partial")
    with tarfile.open(temporary, "w", format=tarfile.GNU_FORMAT) as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
        for member in members:
            tar.addfile(member)
    return temporary.rename(path)


def member(name: str, kind: bytes, linkname: str = "") -> tarfile.TarInfo:
    """A member without content: a link, a device, a directory."""
    info = tarfile.TarInfo(name)
    info.type = kind
    info.linkname = linkname
    return info
