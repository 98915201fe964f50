"""Schedules without chance: one create, and the one thing at its side that a mistake would get wrong."""

from balancer.core.nodes import AdminState
from balancer.storage import nodes as node_rows
from tests.integration.web.kills.schedule import NODES, Ground, Schedule
from tests.integration.web.kills.workers import FIRST_TENANT, Order
from tests.integration.web.site import until

#: Seconds that a node holds a call up, less than the timeouts; it is let go when the rest has happened.
_HOLD_UP = 3.0


class Aimed(Schedule):
    """Each method plays what its name says. They raise AssertionError as ``Schedule.play`` does."""

    def __init__(self, ground: Ground) -> None:
        super().__init__(ground, seed=0)

    def a_create_while_every_node_is_disabled(self) -> None:
        self._poll()
        self._hold_all_up("create")
        self._create()
        until(lambda: any(self._cluster.requests(name, "create") for name in NODES))
        for name in NODES:
            node_rows.set_admin_state(self._ground.connection, name, AdminState.DISABLED)
        self._finish()

    def a_create_while_a_poll_is_under_way(self) -> None:
        self._poll()
        for name in NODES:
            self._cluster.servers[name].node.journal.clear()
        self._hold_all_up("getMeetings")
        self._begin_poll(1)
        until(lambda: all(self._cluster.requests(name, "getMeetings") for name in NODES))
        self._create()
        while self._busy:
            self._listen(0.01)
        self._finish()

    def _poll(self) -> None:
        self._begin_poll(1)
        while self._polling:
            self._listen(1)

    def _hold_all_up(self, call: str) -> None:
        for name in NODES:
            self._cluster.misbehave(name, "slow", calls=[call], seconds=_HOLD_UP, times=1, after=True)

    def _create(self) -> None:
        worker = self._ground.web[0]
        self._busy[worker] = None
        worker.pipe.send([Order(1, "create", FIRST_TENANT, "room")])
