"""The schema of a database as text, to compare it with another one."""

import re
import subprocess
from pathlib import Path

from lab.services import program

#: Version lines, session settings and pg_dump's random restrict keys differ from run to run or server to server.
_NOISE = re.compile(r"^(--|SET |SELECT pg_catalog\.set_config|\\(un)?restrict ).*\n", re.MULTILINE)


def dump(url: str) -> str:
    """Raises CalledProcessError."""
    command: list[str | Path] = [program("pg_dump"), "--schema-only", "--no-owner", "--no-privileges", url]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return re.sub(r"\n{2,}", "\n\n", _NOISE.sub("", text)).strip() + "\n"
