"""The balancer's app on real stores, among simulated nodes."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from balancer.storage.postgresql import database, schema
from balancer.web.app import create_app
from balancer.web.services import of
from lab.services import PostgreSQL, Redis
from tests.eventually import until
from tests.integration.cli.conftest import Commands
from tests.integration.settings import settings_for
from tests.integration.web.cluster import SECRET, Cluster, Loop
from tests.integration.web.site import Site, running


@pytest.fixture(scope="session")
def loop() -> Iterator[Loop]:
    loop = Loop()
    yield loop
    loop.close()


ClusterMaker = Callable[..., Cluster]


@pytest.fixture
def cluster_on(loop: Loop, tmp_path: Path) -> Iterator[Callable[..., Cluster]]:
    """Makes a cluster on given stores, with settings of the test's own."""
    with ExitStack() as stack:

        def make(database_url: str, redis_url: str, **given: str) -> Cluster:
            settings = settings_for(database_url, redis_url, tmp_path, **given)
            app = create_app(settings)
            of(app).open()
            stack.callback(of(app).close)
            cluster = Cluster(app, settings, loop, tmp_path)
            stack.callback(cluster.close)
            return cluster

        yield make


@pytest.fixture
def cluster(database_url: str, redis_url: str, cluster_on: ClusterMaker) -> Cluster:
    """Two nodes, polled once. The stores come first, so that they go last."""
    cluster = cluster_on(database_url, redis_url)
    cluster.add("bbb1", "bbb2")
    cluster.poll()
    return cluster


@pytest.fixture
def commands(cluster: Cluster) -> Commands:
    settings = cluster.settings
    return Commands(
        {
            "BALANCER_ENV_FILE": "/dev/null",
            "BALANCER_DATABASE_URL": settings.database_url,
            "BALANCER_REDIS_URL": settings.redis_url,
            "BALANCER_SECRETS": SECRET,
            "BALANCER_PUBLIC_URL": settings.public_url,
            "BALANCER_STATE_DIRECTORY": str(settings.state_directory),
            "BALANCER_NODE_READ_TIMEOUT": "1",
            "BALANCER_LOG_LEVEL": "error",
        }
    )


@pytest.fixture(scope="session")
def whole_site(loop: Loop) -> Iterator[Site]:
    """One for all tests of the run: each leaves it in health, which is a part of what it tests."""
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bbb-fleet-")))
        directory.chmod(0o711)
        postgresql = PostgreSQL(directory / "pg").create().start()
        stack.callback(postgresql.stop)
        with database.connect(postgresql.url()) as migrating:
            schema.migrate(migrating)
        cache = Redis(directory / "redis").start()
        stack.callback(cache.stop)
        settings = settings_for(postgresql.url(), cache.url(), directory)
        app = create_app(settings)
        of(app).open()
        stack.callback(of(app).close)
        cluster = Cluster(app, settings, loop, directory)
        stack.callback(cluster.close)
        cluster.add("bbb1", "bbb2")
        yield stack.enter_context(running(cluster, postgresql, cache, directory))


@pytest.fixture
def site(whole_site: Site, request: pytest.FixtureRequest) -> Iterator[Site]:
    """With a meeting of the test's own name; afterwards everything is as it should be."""
    # Each worker finds out by itself that a store is back.
    until(lambda: whole_site.created_by_all(request.node.name))
    until(lambda: request.node.name in whole_site.listed())
    yield whole_site
    until(lambda: whole_site.created(f"{request.node.name}-later"))
    before = whole_site.polls()
    until(lambda: whole_site.polls() > before + 3)
    whole_site.sound(request.node.name, f"{request.node.name}-later")
    whole_site.unlogged()
