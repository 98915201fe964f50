"""The states of failing nodes: suspect, unreachable, online again, with the reason and since when."""

import asyncio
import socket
from datetime import datetime
from itertools import pairwise

import pytest
from structlog.testing import CapturingLogger

from balancer.core.nodes import AdminState, ObservedState
from balancer.settings import ALGORITHMS, Settings
from balancer.storage.postgresql import nodes as node_rows
from tests.integration.polling.fleet import Fleet
from tests.poll_rounds import PollRounds, opened

ONLINE = (ObservedState.ONLINE, "")
#: Polls until a node's digests are stored: the first asks for its version, the last stores the result.
ROUND = 1 + len(ALGORITHMS) + 1


@pytest.mark.parametrize(
    ("kind", "options", "reason"),
    [
        ("refuse", {}, "connect"),
        ("deaf", {"seconds": 60}, "connect"),
        ("error", {"status": 502}, "http"),
        ("html", {}, "http"),
        ("truncated", {}, "http"),
        ("cut", {}, "http"),
        ("checksum", {"calls": ["getMeetings"]}, "checksum"),
        ("hang", {}, "slow"),
    ],
)
async def test_each_way_to_fail_has_its_reason(
    poller: PollRounds, fleet: Fleet, kind: str, options: dict[str, object], reason: str
) -> None:
    await fleet.add("sick", "well", "fine")
    await poller.run_once()
    fleet.misbehave("sick", kind, **options)
    # A deaf node closes its socket in a task of its own.
    await asyncio.sleep(0)
    await fleet.servers["sick"].disconnect()
    await poller.run_once()
    assert fleet.observed() == {"sick": (ObservedState.SUSPECT, reason), "well": ONLINE, "fine": ONLINE}
    await poller.run_once()
    assert fleet.observed()["sick"] == (ObservedState.UNREACHABLE, reason)
    since = _since(fleet, "sick")
    await poller.run_once()
    assert _since(fleet, "sick") == since
    fleet.mend("sick")

    async def back() -> bool:
        await poller.run_once()
        return fleet.observed()["sick"] == ONLINE

    async with asyncio.timeout(20):
        while not await back():
            await asyncio.sleep(0.1)
    assert _since(fleet, "sick") > since


def _since(fleet: Fleet, name: str) -> datetime:
    return node_rows.observations(fleet.rows)[fleet.nodes[name].id].since


async def test_a_name_that_does_not_resolve(poller: PollRounds, fleet: Fleet) -> None:
    fleet.register("ghost", "https://ghost.invalid/bigbluebutton/api/")
    await poller.run_once()
    assert fleet.observed() == {"ghost": (ObservedState.SUSPECT, "dns")}


async def test_a_port_on_which_nothing_listens(poller: PollRounds, fleet: Fleet) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        fleet.register("dead", f"http://127.0.0.1:{taken.getsockname()[1]}/bigbluebutton/api/")
        await poller.run_once()
    assert fleet.observed() == {"dead": (ObservedState.SUSPECT, "connect")}


async def test_plain_http_instead_of_tls(poller: PollRounds, fleet: Fleet) -> None:
    await fleet.add("bbb1")
    fleet.register("plain", fleet.nodes["bbb1"].url.replace("http://127.0.0.1", "https://localhost"))
    await poller.run_once()
    assert fleet.observed() == {"bbb1": ONLINE, "plain": (ObservedState.SUSPECT, "tls")}


async def test_a_wrong_secret(poller: PollRounds, fleet: Fleet) -> None:
    await fleet.add("bbb1")
    fleet.register("wrong", fleet.nodes["bbb1"].url.replace("127.0.0.1", "localhost"), secret="not-the-nodes-secret")
    await poller.run_once()
    assert fleet.observed() == {"bbb1": ONLINE, "wrong": (ObservedState.SUSPECT, "checksum")}


async def test_a_digest_that_the_node_does_not_accept(poller: PollRounds, fleet: Fleet) -> None:
    await fleet.add("bbb1", algorithms=("sha1", "sha512"))
    for _ in range(ROUND):
        await poller.run_once()
    assert fleet.observed() == {"bbb1": (ObservedState.UNREACHABLE, "checksum")}
    assert fleet.digests() == {"bbb1": ("sha1", "sha512")}
    assert len(fleet.requests("bbb1", "isMeetingRunning")) == len(ALGORITHMS)


async def test_the_digests_that_a_node_accepts_are_stored_and_rarely_tried(poller: PollRounds, fleet: Fleet) -> None:
    await fleet.add("bbb1")
    await fleet.add("bbb2", algorithms=("sha256", "sha512"))
    seen = []
    for _ in range(ROUND):
        await poller.run_once()
        seen.append(len(fleet.servers["bbb2"].node.request_log.requests()))
    assert max(after - before for before, after in pairwise([0, *seen])) == 2, "more than one request beside the poll's"
    assert fleet.digests() == {"bbb1": ALGORITHMS, "bbb2": ("sha256", "sha512")}
    assert len(fleet.requests("bbb2", "isMeetingRunning")) == len(ALGORITHMS)


async def test_a_poll_under_way_does_not_prevent_a_changed_node_from_being_asked_again(
    poller: PollRounds, fleet: Fleet
) -> None:
    await fleet.add("bbb1")
    await poller.run_once()
    await poller.run_once()
    fleet.misbehave("bbb1", "slow", calls=["isMeetingRunning"], seconds=1)
    trials, versions = len(fleet.requests("bbb1", "isMeetingRunning")), len(fleet.requests("bbb1", ""))
    assert (trials, versions) == (1, 1)
    under_way = asyncio.create_task(poller.run_once())
    async with asyncio.timeout(10):
        while len(fleet.requests("bbb1", "isMeetingRunning")) == trials:
            await asyncio.sleep(0.02)
    assert not under_way.done()
    fleet.rows.execute("UPDATE nodes SET weight = 2")
    await poller.watch.read_nodes()  # as Poller.run does during its polls
    fleet.mend("bbb1")
    await under_way
    for _ in range(ROUND + 1):
        await poller.run_once()
    assert len(fleet.requests("bbb1", "isMeetingRunning")) == trials + 1 + len(ALGORITHMS)
    assert len(fleet.requests("bbb1", "")) == versions + 1


async def test_a_node_whose_secret_changed_accepts_no_digest(poller: PollRounds, fleet: Fleet) -> None:
    await fleet.add("bbb1")
    for _ in range(ROUND):
        await poller.run_once()
    assert fleet.digests() == {"bbb1": ALGORITHMS}
    fleet.misbehave("bbb1", "checksum")
    await poller.run_once()
    assert fleet.observed() == {"bbb1": (ObservedState.SUSPECT, "checksum")}
    for _ in range(ROUND):
        await poller.run_once()
    assert fleet.digests() == {"bbb1": ()}
    fleet.mend("bbb1")
    for _ in range(ROUND):
        await poller.run_once()
    assert fleet.digests() == {"bbb1": ALGORITHMS}


async def test_a_node_that_accepts_no_new_connections_is_not_online(settings: Settings, fleet: Fleet) -> None:
    """Only the poller reaches it, over a connection from before."""
    async with opened(settings, renew_after=0.5) as poller:
        await fleet.add("sick", "well", "fine")
        await poller.run_once()
        fleet.misbehave("sick", "deaf", seconds=60)
        await asyncio.sleep(0.6)
        await poller.run_once()
        await poller.run_once()
    assert fleet.observed() == {"sick": (ObservedState.SUSPECT, "connect"), "well": ONLINE, "fine": ONLINE}


async def test_when_all_nodes_fail_together_none_is_declared_unreachable(
    poller: PollRounds, fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fleet.add("bbb1", "bbb2", "bbb3")
    rows = [fleet.place(name, name, await fleet.create(name, name)) for name in fleet.nodes]
    await poller.run_once()
    for name in fleet.nodes:
        fleet.misbehave(name, "refuse")
    monkeypatch.setattr("balancer.polling.poll.logger", logger := CapturingLogger())
    for _ in range(5):
        await poller.run_once()
    warned = [call for call in logger.calls if call.method_name == "warning"]
    assert [(call.kwargs["failing"], call.kwargs["of"]) for call in warned] == [(3, 3)]
    assert set(fleet.observed().values()) == {(ObservedState.SUSPECT, "connect")}
    assert fleet.states(*rows) == ["running"] * 3
    # They answer one after the other. Those that were not polled yet must not become unreachable.
    for name in fleet.nodes:
        fleet.mend(name)
    states = []
    for name in ("bbb1", "bbb2", "bbb3"):
        await poller.poll(fleet.nodes[name])
        states.append([state for state, _ in fleet.observed().values()])
    assert not any(ObservedState.UNREACHABLE in each for each in states)
    assert set(fleet.observed().values()) == {ONLINE}


async def test_a_node_that_still_fails_when_the_others_return_is_unreachable(poller: PollRounds, fleet: Fleet) -> None:
    await fleet.add("bbb1", "bbb2", "bbb3")
    await poller.run_once()
    for name in fleet.nodes:
        fleet.misbehave(name, "refuse")
    for _ in range(5):
        await poller.run_once()
    assert set(fleet.observed().values()) == {(ObservedState.SUSPECT, "connect")}
    fleet.mend("bbb1")
    fleet.mend("bbb2")
    await poller.run_once()
    await poller.run_once()
    assert fleet.observed() == {"bbb1": ONLINE, "bbb2": ONLINE, "bbb3": (ObservedState.UNREACHABLE, "connect")}


async def test_a_new_poller_continues_from_the_stored_state(poller: PollRounds, fleet: Fleet) -> None:
    await fleet.add("bbb1", "bbb2", "bbb3")
    fleet.rows.execute(
        "INSERT INTO node_observations (node_id, state, reason, since, fencing)"
        " VALUES (%s, 'unreachable', 'connect', now() - interval '1 h', 0)",
        [fleet.nodes["bbb1"].id],
    )
    since = _since(fleet, "bbb1")
    fleet.misbehave("bbb1", "refuse")
    await poller.run_once()
    assert fleet.observed()["bbb1"] == (ObservedState.UNREACHABLE, "connect")
    assert _since(fleet, "bbb1") == since


async def test_polls_never_change_the_admin_state(poller: PollRounds, fleet: Fleet) -> None:
    """A poll is under way while the operator disables the node. Whatever it finds, the node stays disabled."""
    await fleet.add("bbb1", "bbb2")
    await poller.run_once()
    fleet.misbehave("bbb1", "slow", seconds=0.5)
    polling = asyncio.create_task(poller.run_once())
    async with asyncio.timeout(10):
        while len(fleet.requests("bbb1", "getMeetings")) < 2:
            await asyncio.sleep(0.01)
    node_rows.set_admin_state(fleet.rows, "bbb1", AdminState.DISABLED)
    await polling
    fleet.misbehave("bbb1", "refuse")
    await poller.run_once()
    fleet.mend("bbb1")
    await poller.run_once()
    assert node_rows.by_name(fleet.rows, "bbb1").admin_state is AdminState.DISABLED
    # It is polled all the same.
    assert fleet.observed()["bbb1"] == ONLINE


async def test_only_transitions_of_the_state_are_written(poller: PollRounds, fleet: Fleet) -> None:
    await fleet.add("bbb1")
    for _ in range(ROUND):
        await poller.run_once()
    before = fleet.rows.execute("SELECT xmin, ctid FROM node_observations").fetchall()
    await poller.run_once()
    await poller.run_once()
    assert fleet.rows.execute("SELECT xmin, ctid FROM node_observations").fetchall() == before


async def test_an_index_page_that_fails_does_not_matter(poller: PollRounds, fleet: Fleet) -> None:
    await fleet.add("bbb1")
    fleet.misbehave("bbb1", "html", calls=[""])
    await poller.run_once()
    assert fleet.observed() == {"bbb1": ONLINE}
