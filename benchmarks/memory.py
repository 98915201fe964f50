"""Memory of a web worker under a steady load of all kinds of calls."""

import time
from collections.abc import Iterator

from benchmarks.cluster import front_end, make_recordings, running
from benchmarks.figures import Figure, answer
from benchmarks.load import Load, drive
from benchmarks.processes import largest_megabytes

SECONDS, BATCH, MEETINGS = 90.0, 200, 100


def measure() -> Iterator[Figure]:
    """The larger worker at the start, half-way and at the end: what still grows then is a leak."""
    with running(nodes=2) as sandbox:
        client = front_end(sandbox)
        ids = client.make_meetings(MEETINGS)
        make_recordings(sandbox, 1000)
        mixed = [
            target
            for number in range(BATCH // 5)
            for target in (
                client.target("getMeetings"),
                client.target("getMeetingInfo", meetingID=ids[number]),
                client.target("isMeetingRunning", meetingID=ids[number]),
                client.target("getRecordings", meetingID=ids[number]),
                client.create(ids[number]),
            )
        ]
        master = sandbox.processes["web"][0].pid
        yield Figure("before", largest_megabytes(master), "MB", 120)
        began, requests = time.monotonic(), 0
        for name, share in (("half-way", 0.5), ("at the end", 1.0)):
            while time.monotonic() - began < SECONDS * share:
                drive(Load(client.origin, mixed))
                requests += len(mixed)
            yield Figure(name, largest_megabytes(master), "MB", 120)
        yield Figure("requests", requests, "")


if __name__ == "__main__":
    answer("memory", measure)
