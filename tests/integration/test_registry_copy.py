"""A process's copy of nodes and tenants: from PostgreSQL, or else from its host's file."""

import json
import stat
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from balancer import log
from balancer.core.nodes import AdminState, ObservedState
from balancer.errors import StorageUnavailableError
from balancer.registry_copy import RegistryCopy, replace_private
from balancer.settings import Settings
from balancer.storage.lease import POLLER, Lease
from balancer.storage.postgresql import nodes
from balancer.storage.postgresql.database import Database, connect
from balancer.storage.postgresql.nodes import Declaration
from balancer.storage.redis import client as redis_client
from tests.eventually import until
from tests.integration.settings import settings_for

NODE = Declaration(
    name="bbb1", url="https://bbb1.example.org/bigbluebutton/api/", secret="secret-of-bbb1", weight=2.5, tags=("gpu",)
)


@pytest.fixture
def settings(database_url: str, redis_url: str, tmp_path: Path) -> Settings:
    return settings_for(database_url, redis_url, tmp_path)


@pytest.fixture
def poller(settings: Settings) -> Iterator[Lease]:
    """The lease of a running poller."""
    with (
        redis_client.connect(settings.redis_url) as redis,
        closing(Database(settings.database_url, application_name="test")) as database,
    ):
        database.open()
        lease = Lease(POLLER, redis, database, ttl=60)
        assert lease.hold()
        yield lease


@pytest.fixture
def registry(settings: Settings) -> Iterator[RegistryCopy]:
    yield from opened(settings)


def opened(settings: Settings, **intervals: float) -> Iterator[RegistryCopy]:
    database = Database(settings.database_url, application_name="test", size=2)
    database.open()
    with redis_client.connect(settings.redis_url) as redis:
        registry = RegistryCopy(settings, database, redis, **intervals)
        yield registry
        registry.close()
    database.close()


def add(settings: Settings, declared: Declaration = NODE) -> int:
    with connect(settings.database_url) as connection:
        return nodes.add(connection, declared, AdminState.ENABLED).id


def observe(settings: Settings, number: int, state: ObservedState) -> None:
    with connect(settings.database_url) as connection:
        nodes.observe(connection, number, state, reason="connect", bbb_version="", fencing=1)


def test_it_reads_nodes_and_tenants_and_keeps_them_in_a_private_file(
    settings: Settings, registry: RegistryCopy
) -> None:
    number = add(settings)
    registry.refresh()
    node = registry.nodes()[number]
    assert (node.name, node.secret, node.weight, node.tags) == ("bbb1", "secret-of-bbb1", 2.5, ("gpu",))
    (tenant,) = registry.tenants()
    assert (tenant.name, tenant.secrets) == ("default", settings.secrets)
    file = settings.state_directory / "registry.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    content = file.read_text()
    assert json.loads(content)["nodes"][0]["url"] == NODE.url
    assert not any(secret in content for secret in settings.secrets)


def test_the_file_is_written_only_when_something_changed(settings: Settings, registry: RegistryCopy) -> None:
    add(settings)
    registry.refresh()
    file = settings.state_directory / "registry.json"
    before = file.stat().st_ino
    registry.refresh()
    assert file.stat().st_ino == before
    with connect(settings.database_url) as connection:
        nodes.set_admin_state(connection, "bbb1", AdminState.DRAINING)
    registry.refresh()
    assert file.stat().st_ino != before
    assert not list(settings.state_directory.glob(".registry*"))


def test_without_postgresql_the_file_is_used(settings: Settings, registry: RegistryCopy, tmp_path: Path) -> None:
    number = add(settings)
    registry.refresh()
    away = settings_for("postgresql:///x?host=/nowhere", settings.redis_url, tmp_path)
    for other in opened(away):
        other.read_file()
        assert other.nodes()[number] == registry.nodes()[number]
        assert other.tenants() == registry.tenants()
        assert other.unreachable(number) is None


@pytest.mark.parametrize("content", [None, "", "{}", "[]", '{"version": 99, "nodes": [], "tenants": []}', "\xff"])
def test_without_either_the_error_is_clear(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "registry.json").write_text(content, encoding="latin-1")
    for registry in opened(settings_for("postgresql:///x?host=/nowhere", "unix:///nowhere.sock", tmp_path)):
        registry.read_file()
        with pytest.raises(StorageUnavailableError):
            registry.nodes()
        with pytest.raises(StorageUnavailableError):
            registry.tenants()


def test_a_node_that_is_newer_than_the_last_read_is_found(settings: Settings, registry: RegistryCopy) -> None:
    registry.refresh()
    number = add(settings)
    found = registry.node(number)
    assert found
    assert found.name == "bbb1"
    assert registry.node(number + 1) is None


def test_changes_are_followed(settings: Settings) -> None:
    for registry in opened(settings, refresh_interval=0.05):
        registry.follow()
        number = add(settings)
        until(lambda number=number, registry=registry: number in registry.nodes())


@pytest.fixture
def refusing(settings: Settings) -> Iterator[RegistryCopy]:
    """Reads again before every refusal."""
    yield from opened(settings, refusal_max_age=0)


def test_threads_that_read_at_once_do_not_wait_one_after_the_other(settings: Settings, refusing: RegistryCopy) -> None:
    number = add(settings)
    refusing.refresh()

    def seconds() -> float:
        before = time.monotonic()
        assert refusing.node_now(number)
        return time.monotonic() - before

    with connect(settings.database_url) as operator, ThreadPoolExecutor(4) as pool:
        operator.execute("LOCK TABLE nodes IN ACCESS EXCLUSIVE MODE")
        waits = [each.result() for each in [pool.submit(seconds) for _ in range(4)]]
    # PostgreSQL gives up a read after 5 s (lock_timeout).
    assert max(waits) < 8, waits


@pytest.mark.usefixtures("poller")
def test_an_unreachable_node_is_reported_by_its_state(settings: Settings, registry: RegistryCopy) -> None:
    number = add(settings)
    registry.check_poller()
    for state in (ObservedState.ONLINE, ObservedState.SUSPECT, ObservedState.UNREACHABLE):
        observe(settings, number, state)
        registry.refresh()
        found = registry.unreachable(number)
        assert (found is not None) == (state is ObservedState.UNREACHABLE)
    assert found
    assert found.reason == "connect"


@pytest.mark.usefixtures("poller")
def test_an_unreachable_node_is_reported_while_the_observation_is_fresh(settings: Settings) -> None:
    number = add(settings)
    observe(settings, number, ObservedState.UNREACHABLE)
    for registry in opened(settings, observation_max_age=0):
        registry.check_poller()
        assert registry.unreachable(number) is None


@pytest.fixture
def following(settings: Settings) -> Iterator[RegistryCopy]:
    """Reads often; a check for a poller counts for a third of a second."""
    yield from opened(replace(settings, poll_interval=0.1), refresh_interval=0.05)


def test_an_unreachable_node_is_reported_while_a_poller_runs(
    settings: Settings, following: RegistryCopy, poller: Lease
) -> None:
    number = add(settings)
    observe(settings, number, ObservedState.UNREACHABLE)
    following.follow()
    until(lambda: following.unreachable(number) is not None)
    poller.release()
    until(lambda: following.unreachable(number) is None)
    assert poller.hold()
    until(lambda: following.unreachable(number) is not None)


def test_a_process_that_starts_without_a_poller_logs_it(
    following: RegistryCopy, capsys: pytest.CaptureFixture[str]
) -> None:
    log.configure("warning", "json")
    logged: list[str] = []

    def lines() -> list[str]:
        logged.extend(capsys.readouterr().err.splitlines())
        return [line for line in logged if "no poller runs" in line]

    following.follow()
    until(lambda: len(lines()) > 0)


def test_a_state_directory_that_cannot_be_written_is_no_reason_to_fail(database_url: str, tmp_path: Path) -> None:
    for registry in opened(settings_for(database_url, "unix:///nowhere.sock", tmp_path / "missing")):
        registry.refresh()
        assert registry.nodes() == {}


def test_a_file_is_replaced_completely_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "registry.json"
    replace_private(target, "old")

    def full(*_: Any) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="no space"):
        replace_private(target, "new")
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]
