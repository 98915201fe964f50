"""One schedule: what clients ask for, what fails and which processes are killed, drawn from its seed.

The seed decides what happens and roughly when, but not how the processes interleave.
"""

import random
import time
from collections import Counter
from collections.abc import Callable
from multiprocessing.connection import wait
from typing import Any
from urllib.parse import parse_qs

import redis

from balancer.core.nodes import AdminState
from balancer.storage.postgresql import nodes as node_rows
from balancer.storage.postgresql.database import Connection
from lab.simulator.meetings import Meeting, User
from lab.simulator.request_log import LoggedRequest
from tests.integration.web.cluster import Cluster
from tests.integration.web.schedules import workers
from tests.integration.web.schedules.chronicle import Chronicle, End, Life
from tests.integration.web.schedules.workers import FIRST_TENANT, Meant, Order, Polled, Report, Worker

NODES = ("a", "b", "c", "d")
WEB = 3
POLLERS = 2
#: Seconds after which a silent process counts as hung.
_SILENCE_LIMIT = 30.0
#: Seconds by which a node may delay a create, and so many that its worker does not wait for it.
_A_MOMENT, _TOO_LONG = 0.03, 0.5
#: Seconds after which polls check what became of an interrupted create.
_AGE = 10.0


class Ground:
    """Nodes, stores and processes, for one schedule after another."""

    def __init__(self, cluster: Cluster, connection: Connection, mistake: str = "") -> None:
        self.cluster, self.connection = cluster, connection
        self.tally: Counter[str] = Counter()
        self.chronicle = Chronicle()
        self._redis = redis.Redis.from_url(cluster.settings.redis_url)
        for name in NODES:
            self.cluster.add(name, end_delay=0.005, request_log_length=100_000)
            self.cluster.servers[name].node.life.listeners.append(self._listener(name))
        self.web = [Worker(workers.web, cluster.settings, mistake) for _ in range(WEB)]
        self.pollers = [Worker(workers.poller, cluster.settings, mistake) for _ in range(POLLERS)]
        self.operator = Worker(workers.operator, cluster.settings, mistake)
        for worker in self._workers():
            worker.ready()

    def _workers(self) -> list[Worker]:
        return [*self.web, *self.pollers, self.operator]

    def close(self) -> None:
        for worker in self._workers():
            worker.stop()
        self._redis.close()

    def clear(self) -> None:
        """Remove all traces of the previous schedule. Nothing is under way."""
        for name, server in self.cluster.servers.items():
            self.cluster.mend(name)
            self.cluster.restart(name)
            server.node.request_log.clear()
        self.connection.execute("TRUNCATE meetings, meeting_events")
        self.chronicle = Chronicle()

    def _listener(self, name: str) -> Callable[[str, Meeting, User | None], None]:
        def listen(event: str, meeting: Meeting, user: User | None) -> None:
            if event == "created":
                self.chronicle.lives.append(Life(name, meeting.meeting_id, meeting.internal_id, time.time()))
                return
            for life in self.alive(name):
                if life.internal == meeting.internal_id:
                    if event == "joined" and life.joined is None:
                        life.joined = time.time()
                    if event == "ended":
                        life.died = time.time()

        return listen

    def alive(self, *names: str) -> list[Life]:
        """Meetings on these nodes."""
        return [life for life in self.chronicle.lives if life.node in (names or NODES) and life.died is None]

    # What a schedule does.

    def restart(self, name: str) -> None:
        async def act() -> None:
            for life in self.alive(name):
                life.died, life.lost_in_restart = time.time(), True
            await self.cluster.servers[name].node.restart()

        self.cluster.loop.run(act())

    def wipe(self) -> None:
        self._redis.flushall()

    def ends(self) -> list[End]:
        return [
            End(name, seen.query or "", self._looked(name, seen))
            for name in NODES
            for seen in self.cluster.requests(name, "end")
        ]

    def _looked(self, name: str, end: LoggedRequest) -> float:
        """When the node was last asked for the meeting that it is to end; the time of the end if it never was."""
        named = parse_qs(end.query or "")["meetingID"]
        looks = [
            seen.at
            for seen in self.cluster.requests(name, "getMeetingInfo")
            if seen.number < end.number and parse_qs(seen.query or "").get("meetingID") == named
        ]
        return max(looks, default=end.at)

    def age(self) -> None:
        """No request is under way any more: make creates that were cut off old enough for a poll to handle."""
        self.connection.execute(
            "UPDATE meetings SET placed_at = placed_at - make_interval(secs => %s) WHERE state = 'creating'", [_AGE]
        )


class Schedule:
    """Plays once."""

    def __init__(self, ground: Ground, seed: int) -> None:
        self._ground, self._cluster = ground, ground.cluster
        self._random = random.Random(seed)
        self._rooms = [f"room-{seed}-{letter}" for letter in "xy"]
        self._busy: dict[Worker, Report | None] = {}  #: web workers and operators with orders, and what each is doing
        self._polling: set[Worker] = set()  #: pollers that try to
        self._rounds = 0  #: polls still to be done by the process with the lease
        self._restarted: list[Worker] = []  #: those that may not be ready yet
        self._silent: dict[str, float] = {}
        self._numbers = iter(range(1, 1000))

    def play(self) -> None:
        """Raises AssertionError if something happened that must never happen."""
        self._note("begins")
        self._begin_poll(self._random.randint(2, 4))
        for worker in self._ground.web:
            self._send(worker, [self._order() for _ in range(self._random.randint(1, 3))])
        for _ in range(self._random.randint(3, 6)):
            self._listen(self._random.uniform(0.0, 0.04))
            self._draw_trouble()()
        self._finish()

    def _finish(self) -> None:
        self._settle()
        chronicle = self._ground.chronicle
        chronicle.ends = self._ground.ends()
        chronicle.judge(self._ground.connection)
        self._ground.tally.update(handed_out=sum(bool(report.internal) for report in chronicle.reports))
        self._ground.tally.update(given_up=chronicle.given_up)

    def _note(self, event: str) -> None:
        self._ground.chronicle.story.append(f"{time.time():.3f} {event}")

    def _send(self, worker: Worker, orders: list[Order]) -> None:
        self._busy[worker] = None
        worker.pipe.send(orders)

    def _order(self) -> Order:
        second = self._random.random() < 0.2
        kind = "create" if second else self._random.choice(("create", "create", "come", "end"))
        return Order(next(self._numbers), kind, FIRST_TENANT + second, self._room())

    def _room(self) -> str:
        return self._rooms[self._random.random() < 0.3]

    # What the processes report.

    def _listen(self, seconds: float) -> None:
        """Take reports for some seconds, or until no process is at work."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0 and (self._busy or self._polling):
            pipes: dict[Any, Worker] = {worker.pipe: worker for worker in (*self._busy, *self._polling)}
            for pipe in wait(list(pipes), left):
                self._hear(pipes[pipe])

    def _hear(self, worker: Worker) -> None:
        said = worker.pipe.recv()
        if isinstance(said, Polled):
            self._rounds -= said.rounds
            self._ground.tally[f"polled by {self._ground.pollers.index(worker)}"] += said.rounds
            self._polling.discard(worker)
            if self._rounds > 0:
                self._let_poll(worker)
        elif isinstance(said, Meant):
            self._ground.chronicle.meant.add(said)
            self._ground.tally["ends by an operator"] += 1
        elif isinstance(said, Report):
            self._busy[worker] = None if said.done else said
            if said.done or said.order.kind == "end":
                self._note(f"{'operator' if worker is self._ground.operator else ''} {said}")
                if worker is not self._ground.operator:
                    self._ground.chronicle.reports.append(said)
        else:
            del self._busy[worker]

    def _begin_poll(self, rounds: int) -> None:
        """Order so many rounds of polls from all pollers."""
        if not self._polling:
            self._rounds = rounds
            for worker in self._ground.pollers:
                if worker not in self._restarted:
                    self._let_poll(worker)

    def _let_poll(self, worker: Worker) -> None:
        worker.pipe.send(self._rounds)
        self._polling.add(worker)

    # What fails.

    def _draw_trouble(self) -> Callable[[], None]:
        kinds = {
            self._kill_in_a_create: 5,
            self._kill_a_poller: 1,
            self._operate: 4,
            self._end_or_give_up: 5,
            self._give_up_unwatched: 1,
            self._silence: 2,
            self._away_for_long: 1,
            self._return: 2,
            self._restart: 2,
            self._hold_up: 4,
            self._break_off: 2,
            self._be_too_slow: 0.4,
            self._wipe: 1,
        }
        return self._random.choices(list(kinds), list(kinds.values()))[0]

    def _kill_in_a_create(self) -> None:
        """Kill a worker in the middle of a create, at any point of it; if there is none, any worker."""
        self._listen(0.001)
        ready = [worker for worker in self._ground.web if worker not in self._restarted]
        doing = {worker: doing for worker in ready if (doing := self._busy.get(worker))}
        creating = [worker for worker, report in doing.items() if report.order.kind != "end"]
        if not ready:
            return
        worker = self._random.choice(creating or ready)
        self._ground.tally["killed in a create"] += worker in creating
        worker.kill()
        self._note(f"a worker is killed in the middle of {self._busy.pop(worker, None)}")
        self._last_words(worker)
        worker.start()
        self._restarted.append(worker)

    def _last_words(self, worker: Worker) -> None:
        """Take the reports that it had sent and that were not read yet."""
        try:
            while worker.pipe.poll():
                said = worker.pipe.recv()
                if isinstance(said, Report) and (said.done or said.order.kind == "end"):
                    self._ground.chronicle.reports.append(said)
        except (EOFError, OSError):
            return  # killed while it was sending
        finally:
            worker.pipe.close()

    def _kill_a_poller(self) -> None:
        """Kill a poller, perhaps the lease's holder; the other one takes the lease over once it has expired."""
        ready = [worker for worker in self._ground.pollers if worker not in self._restarted]
        if len(ready) < POLLERS:
            return
        worker = self._random.choice(ready)
        worker.kill()
        self._note("a poller is killed")
        worker.pipe.close()
        self._polling.discard(worker)
        worker.start()
        self._restarted.append(worker)
        self._begin_poll(2)

    def _operate(self) -> None:
        name, state = self._random.choice(NODES), self._random.choice(list(AdminState))
        node_rows.set_admin_state(self._ground.connection, name, state)
        self._note(f"{name} is {state} from now on")

    def _end_or_give_up(self) -> None:
        self._command(self._random.choice(("end", "give-up")))

    def _give_up_unwatched(self) -> None:
        """Give up meetings whose nodes may be online: what is known of the nodes is too old to rely on."""
        pause = 4 * self._cluster.settings.poll_interval
        self._listen(pause)
        if not self._busy and not self._polling:
            time.sleep(pause)
        self._command("give-up")

    def _command(self, kind: str) -> None:
        """Run an operator's command, which refuses what it may not do."""
        if self._ground.operator not in self._busy:
            order = Order(next(self._numbers), kind, FIRST_TENANT + (self._random.random() < 0.2), self._room())
            self._send(self._ground.operator, [order])

    def _silence(self) -> None:
        """A node breaks every connection, and usually accepts none."""
        name = self._random.choice(NODES)
        if name in self._silent:
            return
        self._silent[name] = time.time()
        self._cluster.misbehave(name, "refuse")
        if self._random.random() < 0.7:
            self._cluster.misbehave(name, "deaf", seconds=60)
        self._note(f"{name} is silent")

    def _away_for_long(self) -> None:
        """A node is silent until its meetings may be placed elsewhere, and some are."""
        self._silence()
        self._begin_poll(3)
        self._listen(self._cluster.settings.move_after + 0.15)
        if self._random.random() < 0.5:
            self._command("give-up")
        idle = [worker for worker in self._ground.web if worker not in (*self._busy, *self._restarted)]
        for worker in idle:
            self._send(worker, [self._order()])

    def _return(self) -> None:
        """All nodes answer again."""
        for name in NODES:
            self._cluster.mend(name)
        self._ground.chronicle.silences += [(name, since, time.time()) for name, since in self._silent.items()]
        self._silent.clear()
        self._note("all nodes answer")

    def _restart(self) -> None:
        name = self._random.choice(NODES)
        self._ground.restart(name)
        self._note(f"{name} has forgotten everything")

    def _hold_up(self) -> None:
        """Nodes delay calls for a moment, before they carry them out or before they answer."""
        for name in NODES:
            call, after = self._random.choice(("create", "create", "getMeetings")), self._random.random() < 0.6
            self._cluster.misbehave(name, "slow", calls=[call], seconds=_A_MOMENT, times=2, after=after)
        self._note("nodes are slow")

    def _break_off(self) -> None:
        """A node creates a meeting and breaks the connection instead of answering."""
        name = self._random.choice(NODES)
        self._cluster.misbehave(name, "refuse", calls=["create"], times=1, after=True)
        self._note(f"{name} breaks a create off")

    def _be_too_slow(self) -> None:
        """A node creates a meeting after its worker has given up."""
        name = self._random.choice(NODES)
        self._cluster.misbehave(name, "slow", calls=["create"], seconds=_TOO_LONG, times=1, after=True)
        self._note(f"{name} is too slow with a create")

    def _wipe(self) -> None:
        self._ground.wipe()
        self._note("Redis is wiped")

    # The end.

    def _settle(self) -> None:
        """All nodes answer again, all processes have finished, and two polls have seen it."""
        self._return()
        for worker in self._restarted:
            worker.ready()
        self._listen(_SILENCE_LIMIT)
        assert not self._busy, f"still at work after {_SILENCE_LIMIT} s"
        assert not self._polling, f"still polling after {_SILENCE_LIMIT} s"
        self._ground.age()
        self._begin_poll(2)
        self._listen(_SILENCE_LIMIT)
        assert not self._polling, f"no two polls within {_SILENCE_LIMIT} s"
        for name in NODES:
            node_rows.set_admin_state(self._ground.connection, name, AdminState.ENABLED)
