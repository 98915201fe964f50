"""Nodes, tenants and secrets as this process knows them: from PostgreSQL, or from this host's registry file.

Requests do not wait for PostgreSQL: a thread reads it every few seconds and writes changes to the file, so that a
process can start and send users to their meetings while PostgreSQL is away. The thread also asks Redis whether a poller
runs. Placement does not use this copy.
"""

import json
import os
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from balancer import log
from balancer.core.nodes import AdminState, Node, Observation, ObservedState
from balancer.core.tenants import DEFAULT, Tenant
from balancer.errors import StorageUnavailableError
from balancer.settings import Settings
from balancer.storage.lease import POLLER
from balancer.storage.postgresql import nodes, tenants
from balancer.storage.postgresql.database import POOL_TIMEOUT, Database
from balancer.storage.redis.client import Redis
from balancer.storage.redis.lease_watch import LeaseWatch

#: Poll intervals after which another process polls, if the poller has died.
_TAKEOVER = 3.0
_FILE_NAME = "registry.json"
_VERSION = 1

logger = log.get(__name__)


@dataclass(frozen=True)
class RegistrySnapshot:
    """The registry at one time. It is replaced as a whole, so readers need no lock."""

    nodes: Mapping[int, Node]
    tenant_names: Mapping[int, str]
    observations: Mapping[int, Observation] = field(default_factory=dict)
    read_at: float = float("-inf")  #: time.monotonic() when PostgreSQL was asked

    def to_json(self) -> str:
        """The file's content. Observations are not kept, since they are soon out of date."""
        node_fields = [
            {
                "id": node.id,
                "name": node.name,
                "url": node.url,
                "secret": node.secret,
                "admin_state": node.admin_state.value,
                "weight": node.weight,
                "tags": list(node.tags),
            }
            for node in self.nodes.values()
        ]
        tenant_fields = [{"id": number, "name": name} for number, name in self.tenant_names.items()]
        return json.dumps({"version": _VERSION, "nodes": node_fields, "tenants": tenant_fields}, indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str) -> "RegistrySnapshot":
        """Raises ValueError, KeyError or TypeError if the file is not one of ours."""
        content: dict[str, Any] = json.loads(text)
        if content["version"] != _VERSION:
            raise ValueError(f"version {content['version']}")
        nodes_read = [
            Node(**{**entry, "admin_state": AdminState(entry["admin_state"]), "tags": tuple(entry["tags"])})
            for entry in content["nodes"]
        ]
        return cls({node.id: node for node in nodes_read}, {entry["id"]: entry["name"] for entry in content["tenants"]})


class RegistryCopy:
    """The registry in one process. Threads share it."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        redis: Redis,
        *,
        refresh_interval: float = 2.0,
        refusal_max_age: float = 0.2,
        observation_max_age: float = 15.0,
    ) -> None:
        """refresh_interval: seconds between two reads of PostgreSQL, and so the delay of changes.
        refusal_max_age: seconds for which a read is good enough to refuse a user, so that a crowd causes few reads.
        observation_max_age: seconds for which a read of the nodes' observed states counts."""
        self._settings = settings
        self._database = database
        self._refresh_interval = refresh_interval
        self._refusal_max_age = refusal_max_age
        self._observation_max_age = observation_max_age
        self._poller = LeaseWatch(POLLER, redis, valid_for=_TAKEOVER * settings.poll_interval + refresh_interval)
        self._path = settings.state_directory / _FILE_NAME
        self._snapshot: RegistrySnapshot | None = None
        self._tenants: tuple[Tenant, ...] = ()
        self._refreshing = threading.Lock()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def read_file(self) -> None:
        """Start with this host's registry file, if there is one."""
        try:
            self._use(RegistrySnapshot.from_json(self._path.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return
        except (OSError, ValueError, KeyError, TypeError) as error:
            logger.warning("registry file not used", path=str(self._path), reason=error.__class__.__name__)

    def follow(self) -> None:
        """Start the thread that reads both stores regularly."""
        self._thread = threading.Thread(target=self._follow, name="registry", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()

    def refresh(self) -> None:
        """Read PostgreSQL now. Raises StorageUnavailableError, and then changes nothing."""
        self._refreshed()

    def check_poller(self) -> None:
        """Ask Redis whether a poller runs; if Redis is away for a moment, the last answer counts."""
        try:
            self._poller.check()
        except StorageUnavailableError as error:
            logger.debug("poller not checked", reason=str(error))

    def nodes(self) -> Mapping[int, Node]:
        """Every node, by id. Raises StorageUnavailableError if nothing was ever read."""
        return self._current().nodes

    def node(self, node_id: int) -> Node | None:
        """A node. If it is unknown, PostgreSQL is asked, since it may be newer than our last read."""
        node = self._current().nodes.get(node_id)
        if node is None:
            self.refresh()
            node = self._current().nodes.get(node_id)
        return node

    def node_now(self, node_id: int) -> Node | None:
        """As ``node``, but read from PostgreSQL if possible: before a refusal that may be out of date."""
        if time.monotonic() - self._current().read_at > self._refusal_max_age:
            try:
                self.refresh()
            except StorageUnavailableError:
                logger.debug("node not read again", node=node_id)
        return self._current().nodes.get(node_id)

    def tenants(self) -> Sequence[Tenant]:
        """Every tenant with its secrets. Raises StorageUnavailableError if nothing was ever read."""
        self._current()
        return self._tenants

    def unreachable(self, node_id: int) -> Observation | None:
        """The observation that a node is unreachable, or None if there is none that is fresh.

        The poller writes changes of state only: while no poller runs, the node may have been back for hours.
        """
        snapshot = self._current()
        observation = snapshot.observations.get(node_id)
        if observation is None or observation.state is not ObservedState.UNREACHABLE:
            return None
        fresh = time.monotonic() - snapshot.read_at < self._observation_max_age
        return observation if fresh and self._poller.held else None

    def _current(self) -> RegistrySnapshot:
        # A process that has just started waits here, so that it does not refuse its first callers.
        return self._snapshot or self._refreshed()

    def _refreshed(self) -> RegistrySnapshot:
        asked = time.monotonic()
        # One at a time: otherwise the older of two concurrent reads might be stored last.
        if not self._refreshing.acquire(timeout=POOL_TIMEOUT):
            raise StorageUnavailableError("PostgreSQL: another thread still reads the nodes")
        try:
            # A thread that waited for a read that began after its own request needs no other.
            if self._snapshot is None or self._snapshot.read_at < asked:
                snapshot = self._read()
                self._use(snapshot)
                self._write_file(snapshot.to_json())
                return snapshot
            return self._snapshot
        finally:
            self._refreshing.release()

    def _read(self) -> RegistrySnapshot:
        began = time.monotonic()
        with self._database.transaction() as connection:
            return RegistrySnapshot(
                {node.id: node for node in nodes.all_nodes(connection)},
                tenants.names(connection),
                nodes.observations(connection),
                began,
            )

    def _use(self, snapshot: RegistrySnapshot) -> None:
        self._tenants = tuple(
            # The default tenant's secrets are settings; other tenants' secrets will be rows.
            Tenant(number, name, self._settings.secrets if name == DEFAULT else (), self._settings.checksum_algorithms)
            for number, name in snapshot.tenant_names.items()
        )
        self._snapshot = snapshot

    def _follow(self) -> None:
        # Starts with True, so that a process that starts without a poller logs it too.
        away, polled = False, True
        while True:
            try:
                self.refresh()
                away = False
            except StorageUnavailableError as error:
                if not away:
                    logger.warning("registry not refreshed", reason=str(error))
                away = True
            self.check_poller()
            if polled and not self._poller.held:
                logger.warning("no poller runs: unreachable nodes are no longer left out")
            polled = self._poller.held
            if self._stopping.wait(self._refresh_interval):
                return

    def _write_file(self, text: str) -> None:
        """Replace the file if its content differs. Several processes may do so at once; all write the same."""
        try:
            if self._path.exists() and self._path.read_text(encoding="utf-8") == text:
                return
            replace_private(self._path, text)
        except OSError as error:
            logger.warning("registry file not written", path=str(self._path), reason=str(error))


def replace_private(path: Path, text: str) -> None:
    """Write a file that only its owner may read, completely or not at all. Raises OSError."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:  # mkstemp made it 0600
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise
