"""Memory of a web worker under a steady load of the usual calls of front ends."""

import time
from collections.abc import Iterator, Sequence

import click

from benchmarks import command
from benchmarks.figures import Figure
from benchmarks.front_end import FrontEnd
from benchmarks.load import Load, drive
from benchmarks.processes import largest_megabytes
from benchmarks.sandbox import front_end, make_recordings, running

MEETINGS, NEW = 100, 10


def loads(client: FrontEnd, ids: Sequence[str], number: int, every: float) -> Iterator[Load]:
    """Round `number`: calls about running meetings, joins, refused calls, meetings that are created and ended."""

    def load(targets: Sequence[str], expected: bytes = b"<returncode>SUCCESS</returncode>") -> Load:
        return Load(client.origin, targets, expected, every=every)

    calls = ("getMeetingInfo", "isMeetingRunning", "getRecordings")
    new = [f"new-{number}-{each}" for each in range(NEW)]
    yield load([client.target(call, meetingID=each) for each in ids for call in calls])
    yield load([client.target("getMeetings")] * NEW)
    yield load([client.create(each) for each in ids])
    yield load([client.join(each, number) for each in ids], b"HTTP/1.1 302")
    stranger = FrontEnd(client.origin, "an unknown secret")
    yield load([stranger.create(each) for each in new], b"checksumError")
    yield load([client.create(each) for each in new])
    yield load([client.target("end", meetingID=each, password="moderator") for each in new])
    yield load([client.target("getMeetingInfo", meetingID=f"never-{each}") for each in new], b"notFound")


def measure(seconds: float, every: float) -> Iterator[Figure]:
    """Memory of the larger worker at the start, half-way and at the end; growth after half-way is a leak."""
    with running(nodes=2) as sandbox:
        client = front_end(sandbox)
        ids = client.make_meetings(MEETINGS)
        make_recordings(sandbox, 1000)
        master = sandbox.processes["web"][0].pid
        yield Figure("before", largest_megabytes(master), "MB", 120)
        began, requests, rounds = time.monotonic(), 0, 0
        for name, share in (("half-way", 0.5), ("at the end", 1.0)):
            while time.monotonic() - began < seconds * share:
                for load in loads(client, ids, rounds, every):
                    drive(load)
                    requests += len(load.targets)
                rounds += 1
            yield Figure(name, largest_megabytes(master), "MB", 120)
        yield Figure("requests", requests, "")


if __name__ == "__main__":
    command.run(
        "memory",
        measure,
        click.option("--seconds", type=float, default=90.0, show_default=True, help="Duration."),
        click.option("--every", type=float, default=0.0, help="Seconds between two requests; 0: as fast as possible."),
    )
