"""Checks of the hosts themselves: each module names the group it looks at and runs once for each of its hosts."""

from __future__ import annotations

import pytest

from acceptance.conftest import ENVIRONMENT
from acceptance.support.environment import Environment
from acceptance.support.hosts import Host, Hosts
from acceptance.support.outcomes import NotProved

NO_INVENTORY = "no inventory"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "host" in metafunc.fixturenames:
        hosts = Hosts(metafunc.config.stash[ENVIRONMENT])
        names = hosts.names(metafunc.module.GROUP) if hosts.known else [NO_INVENTORY]
        metafunc.parametrize("host", names, indirect=True)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leaves out what cannot be true of this environment: a bind mount exports nothing."""
    share = config.stash[ENVIRONMENT].share
    items[:] = [item for item in items if not (item.get_closest_marker("nfs") and share != "nfs")]


@pytest.fixture
def host(request: pytest.FixtureRequest, hosts: Hosts, environment: Environment) -> Host:
    """One host of the module's group."""
    if request.param == NO_INVENTORY:
        raise NotProved(f"{environment.path.name} names no inventory, so no host can be looked at")
    return hosts.named(request.param)


@pytest.fixture
def stranger(hosts: Hosts) -> Host:
    """A host of the cluster that has no business with the stores: a node."""
    return hosts.group("nodes")[0]


@pytest.fixture
def client(hosts: Hosts) -> Host:
    """A host that the stores exist for."""
    return hosts.group("balancer")[0]
