"""The balancer's app on real stores, among simulated nodes."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from balancer.settings import Settings, load
from balancer.web.app import create_app
from balancer.web.services import of
from tests.integration.web.cluster import SECRET, Cluster, Loop


@pytest.fixture(scope="session")
def loop() -> Iterator[Loop]:
    loop = Loop()
    yield loop
    loop.close()


def settings_for(database_url: str, redis_url: str, directory: Path, **given: str) -> Settings:
    values = {
        "BALANCER_ENV_FILE": "/dev/null",
        "BALANCER_DATABASE_URL": database_url,
        "BALANCER_REDIS_URL": redis_url,
        "BALANCER_SECRETS": f"{SECRET} another-secret-of-the-front-end",
        "BALANCER_PUBLIC_URL": "https://bbb.example.org",
        "BALANCER_STATE_DIRECTORY": str(directory),
        "BALANCER_NODE_CONNECT_TIMEOUT": "1",
        "BALANCER_NODE_READ_TIMEOUT": "1",
        "BALANCER_CREATE_TIMEOUT": "2",
        "BALANCER_POLL_TIMEOUT": "1",
        "BALANCER_LOG_LEVEL": "error",
    }
    return load(values | {f"BALANCER_{name.upper()}": value for name, value in given.items()})


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
