"""A share in a temporary directory, and an importer on it with a real database."""

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from balancer.importing.importer import Importer
from balancer.importing.share import MARKER
from balancer.settings import Settings
from balancer.storage.postgresql.database import Database


@pytest.fixture
def share() -> Iterator[Path]:
    """The recordings' root as the roles leave it; in memory if possible, because importers sync every file."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(prefix="bbb-fleet-", dir=memory if os.access(memory, os.W_OK) else None) as name:
        root = Path(name) / "share"
        (root / "spool").mkdir(parents=True)
        (root / MARKER).write_text("a test's share\n")
        yield root


@pytest.fixture
def settings(database_url: str, share: Path) -> Settings:
    return Settings(
        database_url=database_url,
        redis_url="unix:///nowhere",
        secrets=("0123456789abcdef",),
        public_url="https://bbb.example.org",
        recordings_root=share,
        import_interval=0.05,
        import_attempts=3,
    )


@pytest.fixture
def importer(settings: Settings, database: Database) -> Importer:
    return Importer(settings, database)


@pytest.fixture
def run_all(importer: Importer) -> Callable[[], int]:
    """Let the importer work until nothing is due; gives the number of rounds."""

    def run() -> int:
        rounds = 0
        while importer.run_once():
            rounds += 1
            assert rounds < 100, "the importer never comes to an end"
        return rounds

    return run
