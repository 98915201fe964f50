"""getMeetings over 5,000 meetings on 100 nodes."""

import time
from collections.abc import Iterator

from benchmarks import command
from benchmarks.figures import Figure
from benchmarks.load import Load, drive
from benchmarks.sandbox import front_end, running

NODES, MEETINGS, REQUESTS = 100, 5000, 60
POLL_INTERVAL = 10.0


def measure() -> Iterator[Figure]:
    """Response times of the whole list, one request after the other, while the poller runs."""
    with running(nodes=NODES, poll_interval=POLL_INTERVAL) as sandbox:
        client = front_end(sandbox)
        client.make_meetings(MEETINGS)
        time.sleep(2 * POLL_INTERVAL)
        every = [client.target("getMeetings")] * REQUESTS
        outcome = drive(Load(client.origin, every, expected=b"<meetingID>room-4999</meetingID>", connections=1))
        yield Figure("p50", outcome.percentile(0.5) * 1000, "ms")
        yield Figure("p95", outcome.percentile(0.95) * 1000, "ms", 300)


if __name__ == "__main__":
    command.run("meeting_list", measure)
