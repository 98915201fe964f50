"""Schedules without randomness: one create, and the one concurrent event that a mistake would mishandle."""

from balancer.core.nodes import AdminState
from balancer.storage.postgresql import nodes as node_rows
from tests.eventually import until
from tests.integration.web.schedules.schedule import NODES, Ground, Schedule
from tests.integration.web.schedules.workers import FIRST_TENANT, Order, Worker

#: Seconds that a node delays a call at most; it is released when the rest has happened. Less than the timeouts.
_DELAY = 40.0


class Aimed(Schedule):
    """Each method plays what its name says. They raise AssertionError as ``Schedule.play`` does."""

    def __init__(self, ground: Ground) -> None:
        super().__init__(ground, seed=0)

    def a_create_while_every_node_is_disabled(self) -> None:
        self._poll()
        self._delay_all("create")
        self._begin("create", self._ground.web[0])
        until(lambda: any(self._cluster.requests(name, "create") for name in NODES))
        for name in NODES:
            node_rows.set_admin_state(self._ground.connection, name, AdminState.DISABLED)
        self._finish()

    def a_create_while_a_poll_is_under_way(self) -> None:
        self._poll()
        for name in NODES:
            self._cluster.servers[name].node.request_log.clear()
        self._delay_all("getMeetings")
        self._begin_poll(1)
        until(lambda: all(self._cluster.requests(name, "getMeetings") for name in NODES))
        self._begin("create", self._ground.web[0])
        self._wait_for(self._ground.web[0])
        self._finish()

    def an_operator_s_end_while_the_meeting_is_ended_and_created_again(self) -> None:
        self._poll()
        front_end, operator = self._ground.web[0], self._ground.operator
        self._begin("create", front_end)
        self._wait_for(front_end)
        self._delay_all("getMeetingInfo")
        self._begin("end", operator)
        until(lambda: any(self._cluster.requests(name, "getMeetingInfo") for name in NODES))
        self._begin("end", front_end)
        self._wait_for(front_end)
        until(lambda: not self._ground.alive())
        self._begin("create", front_end)
        self._wait_for(front_end)
        self._return()
        self._wait_for(operator)
        self._finish()

    def _wait_for(self, worker: Worker) -> None:
        while worker in self._busy:
            self._listen(0.01)

    def _poll(self) -> None:
        self._begin_poll(1)
        while self._polling:
            self._listen(1)

    def _delay_all(self, call: str) -> None:
        for name in NODES:
            self._cluster.misbehave(name, "slow", calls=[call], seconds=_DELAY, times=1, after=True)

    def _begin(self, kind: str, worker: Worker) -> None:
        self._send(worker, [Order(next(self._numbers), kind, FIRST_TENANT, "room")])
