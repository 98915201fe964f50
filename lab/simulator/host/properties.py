"""Reads and writes the settings files of a node, with BBB's precedence (reference 7.1)."""

from pathlib import Path

OVERRIDES = Path("etc/bigbluebutton/bbb-web.properties")
PACKAGED = Path("usr/share/bbb-web/WEB-INF/classes/bigbluebutton.properties")
RECORDING = Path("usr/local/bigbluebutton/core/scripts/bigbluebutton.yml")
RECORDING_OVERRIDES = Path("etc/bigbluebutton/recording/recording.yml")


def properties(root: Path) -> dict[str, str]:
    """Read bbb-web's settings: /etc/bigbluebutton/bbb-web.properties wins over the packaged file."""
    return read(root / PACKAGED, "=") | read(root / OVERRIDES, "=")


def playback_origin(root: Path) -> str:
    """Return the recording scripts' playback_protocol://playback_host."""
    values = read(root / RECORDING, ":") | read(root / RECORDING_OVERRIDES, ":")
    return f"{values.get('playback_protocol', 'https')}://{values['playback_host']}"


def read(path: Path, separator: str) -> dict[str, str]:
    """Read plain `name = value` lines; a missing file has none."""
    if not path.is_file():
        return {}
    lines = (line.strip() for line in path.read_text(encoding="utf-8").splitlines())
    pairs = (line.partition(separator) for line in lines if line and not line.startswith(("#", "!")))
    return {name.strip(): value.strip() for name, _, value in pairs}


def assign(path: Path, separator: str, changes: dict[str, str]) -> bool:
    """Set values in place and keep every other line; False if nothing had to change."""
    old = path.read_text(encoding="utf-8") if path.is_file() else ""
    left, lines = dict(changes), []
    for line in old.splitlines():
        name = line.partition(separator)[0].strip()
        lines.append(f"{name}{separator}{left.pop(name)}" if name in left else line)
    lines += [f"{name}{separator}{value}" for name, value in left.items()]
    new = "\n".join(lines) + "\n"
    if new != old:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(new, encoding="utf-8")
    return new != old
