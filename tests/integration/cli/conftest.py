"""Commands in this process, with real stores."""

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from balancer.cli import balancer
from balancer.core.nodes import ObservedState, Snapshot
from balancer.storage.postgresql import clock, nodes
from balancer.storage.postgresql.database import Connection
from balancer.storage.redis import client as redis_client
from balancer.storage.redis.snapshots import Snapshots
from tests.integration.table_rows import add_meeting

NODE_SECRET = "the-secret-of-a-node-0123456789"
FRONT_END_SECRET = "front-end-secret-0123456789"


class Commands:
    """Runs ``balancer …`` as an operator does."""

    def __init__(self, environment: dict[str, str]) -> None:
        self.environment = environment

    def run(self, *words: str, given: str = "") -> Result:
        result = CliRunner().invoke(balancer, words, input=given, env=self.environment, prog_name="balancer")
        # Whatever happens, no command shows a secret, and none ends in a traceback.
        for secret in (NODE_SECRET, FRONT_END_SECRET):
            assert secret not in result.output
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result

    def ok(self, *words: str, given: str = "") -> str:
        """Standard output of a command that must succeed."""
        result = self.run(*words, given=given)
        assert result.exit_code == 0, result.output
        return result.stdout

    def json(self, *words: str, given: str = "") -> dict[str, Any]:
        content: dict[str, Any] = json.loads(self.ok(*words, "--format", "json", given=given))
        assert next(iter(content.items())) == ("version", 1)
        return content

    def refused(self, *words: str, given: str = "", code: int = 1) -> str:
        """The one line that a refused command says."""
        result = self.run(*words, given=given)
        assert result.exit_code == code, result.output
        assert result.stdout == ""
        assert result.stderr.startswith("balancer: ")
        assert result.stderr.count("\n") == 1
        return result.stderr

    def add(self, name: str, *words: str) -> dict[str, Any]:
        added: dict[str, Any] = self.json(
            "node", "add", name, f"https://{name}.example.org", "--secret-stdin", *words, given=NODE_SECRET
        )["node"]
        return added


@pytest.fixture
def environment(database_url: str, redis_url: str, tmp_path: Path) -> dict[str, str]:
    return {
        "BALANCER_ENV_FILE": "/dev/null",
        "BALANCER_DATABASE_URL": database_url,
        "BALANCER_REDIS_URL": redis_url,
        "BALANCER_SECRETS": FRONT_END_SECRET,
        "BALANCER_PUBLIC_URL": "https://bbb.example.org",
        "BALANCER_STATE_DIRECTORY": str(tmp_path),
        "BALANCER_LOG_LEVEL": "error",
    }


@pytest.fixture
def commands(environment: dict[str, str]) -> Commands:
    return Commands(environment)


class Place:
    """Inserts rows of meetings as a request would have."""

    def __init__(self, rows: Connection) -> None:
        self.rows = rows

    def __call__(self, node: str, meeting_id: str, internal: str, state: str = "running") -> int:
        return add_meeting(self.rows, meeting_id, node, state, internal_meeting_id=internal, create_time=1757000000123)


@pytest.fixture
def place(rows: Connection) -> Place:
    return Place(rows)


Observe = Callable[..., None]


@pytest.fixture
def observe(rows: Connection, client: redis_client.Redis) -> Observe:
    """Writes what a poller would have written of a node."""

    def observe(
        name: str,
        state: ObservedState = ObservedState.ONLINE,
        reason: str = "",
        *,
        age: float = 1.0,
        participants: dict[str, int] | None = None,
        video: int = 0,
        digests: tuple[str, ...] = (),
    ) -> None:
        node = nodes.by_name(rows, name)
        nodes.observe(rows, node.id, state, reason=reason, bbb_version="3.0.4", digests=digests, fencing=1)
        started = clock.now(rows) - timedelta(seconds=age)
        counts = participants or {}
        users = sum(counts.values())
        snapshot = Snapshot(
            node_id=node.id,
            fencing=1,
            poll_started=started,
            polled=started,
            users=users,
            video=video,
            participants=counts,
        )
        Snapshots(client).write(snapshot, {})

    return observe
