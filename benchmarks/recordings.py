"""Response times of getRecordings over 1,000,000 recordings, one request after the other."""

import itertools
import time
from collections.abc import Iterator

from benchmarks import command
from benchmarks.figures import Figure
from benchmarks.front_end import FrontEnd
from benchmarks.load import Load, drive
from benchmarks.sandbox import front_end, make_recordings, running

COUNT = 1_000_000
REQUESTS = 200
#: Measured without a limit, because no user turns so many pages.
WITHOUT_LIMIT = ("paged, to the end",)


def targets(client: FrontEnd, prefix_of: str) -> dict[str, list[str]]:
    """Requests by kind, spread over all recordings; `prefix_of` is a recordID whose prefixes are searched."""

    def spread(count: int) -> Iterator[int]:
        return itertools.islice(itertools.count(0, COUNT // count), count)

    def get(**parameters: object) -> str:
        return client.target("getRecordings", **parameters)

    internal = prefix_of.partition("-")[0]
    return {
        "by meetingID": [get(meetingID=f"room-{number // 10}") for number in spread(REQUESTS)],
        "by recordID prefix": [get(recordID=internal[:length]) for length in range(8, 41)] * (REQUESTS // 33),
        "by two meta filters": [
            get(**{"meta_bbb-context": f"Course {number // 50}", "meta_bbb-origin": "Moodle"})
            for number in spread(REQUESTS)
        ],
        "paged": [get(offset=number % 1000, limit=25) for number in spread(REQUESTS)],
        "paged, of every state": [get(offset=number % 1000, limit=25, state="any") for number in spread(REQUESTS)],
        "paged, to the end": [get(offset=number, limit=25) for number in spread(REQUESTS)],
        "paged, of one course": [
            get(offset=0, limit=10, **{"meta_bbb-context": f"Course {number // 50}"}) for number in spread(REQUESTS)
        ],
        "paged, of two thirds": [
            get(offset=number % 1000, limit=25, **{"meta_bbb-origin": "Moodle"}) for number in spread(REQUESTS)
        ],
    }


def measure() -> Iterator[Figure]:
    """Fill the table, and measure each kind of request."""
    with running(nodes=1) as sandbox:
        began = time.monotonic()
        make_recordings(sandbox, COUNT)
        yield Figure("filled in", time.monotonic() - began, "s", 120)
        client = front_end(sandbox)
        first = Load(client.origin, [client.target("getRecordings", meetingID="room-500")], keep_answers=True)
        [found] = drive(first).answers
        record_id = found.partition(b"<recordID>")[2].partition(b"<")[0].decode()
        for name, requests in targets(client, record_id).items():
            outcome = drive(Load(client.origin, requests, connections=1))
            yield Figure(f"{name}: p50", outcome.percentile(0.5) * 1000, "ms")
            limit = None if name in WITHOUT_LIMIT else 50
            yield Figure(f"{name}: p95", outcome.percentile(0.95) * 1000, "ms", limit)


if __name__ == "__main__":
    command.run("recordings", measure)
