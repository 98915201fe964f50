"""Nodes, tenants and secrets as this process knows them: from PostgreSQL, or from this host's copy of it in a file.

Requests never wait for it: a thread rereads PostgreSQL every few seconds, and whatever is new goes to the file, so that
a process can start and send users to their meetings while PostgreSQL is away. That thread also asks Redis whether
somebody polls. Placement does not look here.
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
from balancer.storage.lease import POLLER, LeaseWatch
from balancer.storage.postgresql import nodes, tenants
from balancer.storage.postgresql.database import POOL_TIMEOUT, Database
from balancer.storage.redis.client import Redis

#: Seconds between two looks at PostgreSQL: how late a process learns of a new node or a changed state.
REFRESH = 2.0
#: Seconds for which a refusal relies on the last look: a crowd that is refused asks PostgreSQL no more often.
_AT_ONCE = 0.2
#: Seconds after which what was observed of a node is no longer believed.
_BELIEVED = 15.0
#: Poll intervals in which another process polls once the one that did has died.
_TAKEN_OVER = 3.0
_FILE_NAME = "registry.json"
_VERSION = 1

logger = log.get(__name__)


@dataclass(frozen=True)
class _Known:
    """One state of the registry; replaced as a whole, so that readers need no lock."""

    nodes: Mapping[int, Node]
    tenant_names: Mapping[int, str]
    observations: Mapping[int, Observation] = field(default_factory=dict)
    read: float = float("-inf")  #: time.monotonic() when PostgreSQL was asked

    def to_json(self) -> str:
        """What is kept in the file: observations are news, and not kept."""
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
    def from_json(cls, text: str) -> "_Known":
        """Raises ValueError, KeyError or TypeError where the file is not one of ours."""
        content: dict[str, Any] = json.loads(text)
        if content["version"] != _VERSION:
            raise ValueError(f"version {content['version']}")
        found = [
            Node(**{**entry, "admin_state": AdminState(entry["admin_state"]), "tags": tuple(entry["tags"])})
            for entry in content["nodes"]
        ]
        return cls({node.id: node for node in found}, {entry["id"]: entry["name"] for entry in content["tenants"]})


class Directory:
    """The registry of one process."""

    def __init__(self, settings: Settings, database: Database, redis: Redis) -> None:
        self._settings = settings
        self._database = database
        self._poller = LeaseWatch(POLLER, redis, patience=_TAKEN_OVER * settings.poll_interval + REFRESH)
        self._path = settings.state_directory / _FILE_NAME
        self._known: _Known | None = None
        self._tenants: tuple[Tenant, ...] = ()
        self._refreshing = threading.Lock()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def read_file(self) -> None:
        """Begin with this host's copy, where there is one."""
        try:
            self._take(_Known.from_json(self._path.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return
        except (OSError, ValueError, KeyError, TypeError) as error:
            logger.warning("registry file not used", path=str(self._path), reason=error.__class__.__name__)

    def follow(self) -> None:
        """Follow both stores from now on, in a thread."""
        self._thread = threading.Thread(target=self._follow, name="registry", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()

    def refresh(self) -> None:
        """Read PostgreSQL now. Raises StorageUnavailableError, with everything as it was."""
        self._refreshed()

    def look_for_poller(self) -> None:
        """Learn whether somebody polls; with Redis away for a moment, what was known goes on."""
        try:
            self._poller.look()
        except StorageUnavailableError as error:
            logger.debug("poller not looked for", reason=str(error))

    def nodes(self) -> Mapping[int, Node]:
        """Every node, by id. Raises StorageUnavailableError where nothing was ever read."""
        return self._current().nodes

    def node(self, node_id: int) -> Node | None:
        """One node; PostgreSQL is asked where it is unknown, since it may be newer than our last look."""
        node = self._current().nodes.get(node_id)
        if node is None:
            self.refresh()
            node = self._current().nodes.get(node_id)
        return node

    def node_now(self, node_id: int) -> Node | None:
        """As ``node``, but PostgreSQL is asked where it can be: for a refusal that may be out of date by now."""
        if time.monotonic() - self._current().read > _AT_ONCE:
            try:
                self.refresh()
            except StorageUnavailableError:
                logger.debug("node not looked up afresh", node=node_id)
        return self._current().nodes.get(node_id)

    def tenants(self) -> Sequence[Tenant]:
        """Every tenant with its secrets. Raises StorageUnavailableError where nothing was ever read."""
        self._current()
        return self._tenants

    def unreachable(self, node_id: int) -> Observation | None:
        """The news that a node cannot be reached, where there is such news and it is fresh.

        Only a change of state is ever written: where nobody polls the node may have been back for hours.
        """
        known = self._current()
        observation = known.observations.get(node_id)
        if observation is None or observation.state is not ObservedState.UNREACHABLE:
            return None
        return observation if self._poller.held and time.monotonic() - known.read < _BELIEVED else None

    def _current(self) -> _Known:
        # A process that has only just begun waits here: it would otherwise turn its first callers away.
        return self._known or self._refreshed()

    def _refreshed(self) -> _Known:
        asked = time.monotonic()
        # In turns: of two that read at one time the one that read earlier might speak last.
        if not self._refreshing.acquire(timeout=POOL_TIMEOUT):
            raise StorageUnavailableError("PostgreSQL: another look at it is still under way")
        try:
            # Whoever waited for a look that began after it asked needs none of its own.
            if self._known is None or self._known.read < asked:
                known = self._read()
                self._take(known)
                self._write_file(known.to_json())
                return known
            return self._known
        finally:
            self._refreshing.release()

    def _read(self) -> _Known:
        began = time.monotonic()
        with self._database.transaction() as connection:
            return _Known(
                {node.id: node for node in nodes.all_nodes(connection)},
                tenants.names(connection),
                nodes.observations(connection),
                began,
            )

    def _take(self, known: _Known) -> None:
        self._tenants = tuple(
            # Other tenants' secrets will be rows; the default tenant's are settings.
            Tenant(number, name, self._settings.secrets if name == DEFAULT else (), self._settings.checksum_algorithms)
            for number, name in known.tenant_names.items()
        )
        self._known = known

    def _follow(self) -> None:
        # A process that began after the last poller died says so too.
        away, polled = False, True
        while True:
            try:
                self.refresh()
                away = False
            except StorageUnavailableError as error:
                if not away:
                    logger.warning("registry not refreshed", reason=str(error))
                away = True
            self.look_for_poller()
            if polled and not self._poller.held:
                logger.warning("nobody polls: what is known of unreachable nodes is believed no more")
            polled = self._poller.held
            if self._stopping.wait(REFRESH):
                return

    def _write_file(self, text: str) -> None:
        """Replace the file where it says something else. Several processes may do so at once: all write the same."""
        try:
            if self._path.exists() and self._path.read_text(encoding="utf-8") == text:
                return
            replace_private(self._path, text)
        except OSError as error:
            logger.warning("registry file not written", path=str(self._path), reason=str(error))


def replace_private(path: Path, text: str) -> None:
    """Write a file that only we may read, whole or not at all. Raises OSError."""
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
