"""CPU time of a request, compared with a bare Flask and gunicorn answer in the same run.

Two simulated nodes, 100 meetings, 1,000 recordings, 16 keep-alive connections. The ratio is the median of several
rounds. Each round measures the bare answer just before, so that other load of the machine affects both.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from statistics import median

from benchmarks import bare_answer, command
from benchmarks.figures import Figure
from benchmarks.front_end import FrontEnd
from benchmarks.load import Load, Outcome, drive
from benchmarks.processes import Meter
from benchmarks.sandbox import THREADS, WORKERS, front_end, make_recordings, running
from lab.sandbox import Sandbox

ROUNDS = 5
#: Requests in a round: enough that work which became due in a pause hardly counts.
REQUESTS = 1000
POLL_INTERVAL = 2.0
MEETINGS = 100
RECORDINGS = 1000


@dataclass
class Question:
    """One kind of call and its measurements; CPU time in milliseconds a request, by group of processes."""

    name: str
    target: Callable[[int], str]  #: path and query of the n-th request
    limit: float | None = None  #: times the bare answer's CPU time
    expected: bytes = b"<returncode>SUCCESS</returncode>"
    ends_meetings: bool = False  #: whether the created meetings are ended after each round
    cpu: list[dict[str, float]] = field(default_factory=list)  #: by round
    bare: list[float] = field(default_factory=list)  #: CPU time of the bare answer just before, by round
    walls: list[Outcome] = field(default_factory=list)


def questions(client: FrontEnd, ids: Sequence[str]) -> list[Question]:
    """The calls to measure. Create adds meetings, so they are ended before the next round."""

    def about(meeting: Callable[[str, int], str]) -> Callable[[int], str]:
        return lambda number: meeting(ids[number % len(ids)], number)

    def call(name: str) -> Callable[[int], str]:
        return about(lambda meeting_id, _: client.target(name, meetingID=meeting_id))

    page = client.target("getRecordings", offset=200, limit=10)
    every = client.target("getMeetings")
    return [
        Question("join", about(client.join), 4, b"HTTP/1.1 302"),
        Question("isMeetingRunning", call("isMeetingRunning"), 4.5),
        Question("getMeetingInfo", call("getMeetingInfo"), 4.5),
        Question("getMeetings (100)", lambda _: every, 6),
        Question("getRecordings (10 of 1,000)", call("getRecordings"), 8),
        Question("getRecordings (page of 10)", lambda _: page, 8),
        Question("create (again)", about(lambda meeting_id, _: client.create(meeting_id))),
        Question("create", lambda number: client.create(f"new-{number}"), 8, ends_meetings=True),
    ]


def take(question: Question, origin: str, meter: Meter, round_number: int) -> range:
    """Measure one round of a question; return the numbers of its requests."""
    numbers = range(round_number * REQUESTS, (round_number + 1) * REQUESTS)
    targets = [question.target(number) for number in numbers]
    before = meter.read()
    outcome = drive(Load(origin, targets, question.expected))
    spent = {name: (after - before[name]) * 1000 / len(numbers) for name, after in meter.read().items()}
    question.cpu.append(spent)
    question.walls.append(outcome)
    return numbers


def end(client: FrontEnd, numbers: range) -> None:
    """End the meetings of a round of create, and wait until the poller has seen that."""
    targets = [client.target("end", meetingID=f"new-{number}", password="moderator") for number in numbers]
    drive(Load(client.origin, targets))
    time.sleep(2 * POLL_INTERVAL)


def figures_of(question: Question) -> Iterator[Figure]:
    name = question.name
    ratios = [mine["web"] / bare for mine, bare in zip(question.cpu, question.bare, strict=True)]
    yield Figure(f"{name}: web CPU to bare", median(ratios), "times", question.limit)
    for group in ("web", "postgresql", "redis"):
        yield Figure(f"{name}: {group} CPU", median(each[group] for each in question.cpu), "ms")
    for share in (0.5, 0.95):
        wall = median(each.percentile(share) for each in question.walls) * 1000
        yield Figure(f"{name}: wall p{share * 100:.0f}", wall, "ms")


def ask(sandbox: Sandbox) -> Iterator[Figure]:
    client = front_end(sandbox)
    ids = client.make_meetings(MEETINGS)
    make_recordings(sandbox, RECORDINGS)
    origin = bare_answer.start(sandbox, WORKERS, THREADS)
    meter = Meter({name: sandbox.processes[name] for name in ("web", "postgresql", "redis", "bare")})
    target = client.target("isMeetingRunning", meetingID=ids[0])
    nothing = Question("bare", lambda _: target)
    asked = questions(client, ids)
    for round_number in range(ROUNDS + 1):
        for question in asked:
            take(nothing, origin, meter, round_number)
            numbers = take(question, client.origin, meter, round_number)
            question.bare.append(nothing.cpu[-1]["bare"])
            if question.ends_meetings:
                end(client, numbers)
    for question in asked:
        # The first round only warms up.
        del question.cpu[0], question.bare[0], question.walls[0]
    yield Figure("bare: CPU", median(bare for question in asked for bare in question.bare), "ms")
    for question in asked:
        yield from figures_of(question)


def measure() -> Iterator[Figure]:
    """CPU and wall-clock time of all calls."""
    with running(nodes=2, poll_interval=POLL_INTERVAL) as sandbox:
        yield from ask(sandbox)


if __name__ == "__main__":
    command.run("web", measure)
