"""Names of processes that own rows, so that another process of their host can tell which of them have ended."""

import os
import socket
from pathlib import Path


def name(pid: int | None = None) -> str:
    """HOST:PID:START of a process; the start tells it from a later one with the same number."""
    pid = os.getpid() if pid is None else pid
    # The second field may hold blanks and brackets; the start time is the 20th after it.
    start = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[19]
    return f"{socket.gethostname()}:{pid}:{start}"


def alive(worker: str) -> bool:
    """Whether a worker of this host still runs."""
    pid = int(worker.split(":")[1])
    try:
        return name(pid) == worker
    except (FileNotFoundError, ProcessLookupError):
        return False
