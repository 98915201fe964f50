"""Names of processes that own rows, so that another process on the same host can find out which have ended."""

import os
import socket
from pathlib import Path


def name(pid: int | None = None) -> str:
    """HOST:PID:START of a process. The start time distinguishes it from a later process with the same PID."""
    pid = os.getpid() if pid is None else pid
    # The second field may contain blanks and brackets. The start time is the 20th field after it.
    start = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[19]
    return f"{socket.gethostname()}:{pid}:{start}"


def alive(worker: str) -> bool:
    """Whether the process of this name, on this host, still runs."""
    pid = int(worker.split(":")[1])
    try:
        return name(pid) == worker
    except (FileNotFoundError, ProcessLookupError):
        return False
