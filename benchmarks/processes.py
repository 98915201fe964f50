"""CPU time and memory of processes and their children."""

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import psutil

from lab.services import Process


def tree(pid: int) -> list[psutil.Process]:
    """A process and its descendants."""
    root = psutil.Process(pid)
    return [root, *root.children(recursive=True)]


def cpu_seconds(pids: Iterable[int]) -> float:
    """User and system time of these processes and their descendants, including those that have ended."""
    total = 0.0
    for pid in pids:
        for process in tree(pid):
            ended = process.cpu_times()
            total += _cpu_clock(process.pid) + ended.children_user + ended.children_system
    return total


def _cpu_clock(pid: int) -> float:
    """Seconds of all threads, to the nanosecond, because /proc rounds to the clock's ticks of 10 ms.

    The clock's number is that of clock_getcpuclockid(3), which Python does not have.
    """
    return time.clock_gettime((~pid << 3) | 2)


def largest_megabytes(pid: int) -> float:
    """Resident memory of the largest process below ``pid``, in 10^6 bytes."""
    return float(max(process.memory_info().rss for process in tree(pid)[1:])) / 1e6


@dataclass(frozen=True)
class Meter:
    """Reads the CPU time of groups of processes."""

    groups: Mapping[str, list[Process]]

    def read(self) -> dict[str, float]:
        """CPU seconds so far, by group."""
        return {name: cpu_seconds(each.pid for each in group) for name, group in self.groups.items()}
