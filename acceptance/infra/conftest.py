"""Checks of the hosts themselves: each module names an inventory group and runs once for each of its hosts."""

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
    """Leaves out checks that do not apply to this environment: without NFS nothing is exported."""
    share = config.stash[ENVIRONMENT].share
    items[:] = [item for item in items if not (item.get_closest_marker("nfs") and share != "nfs")]


@pytest.fixture
def host(request: pytest.FixtureRequest, hosts: Hosts, environment: Environment) -> Host:
    """One host of the module's group."""
    if request.param == NO_INVENTORY:
        raise NotProved(f"{environment.path.name} names no inventory, so hosts cannot be checked")
    return hosts.named(request.param)


@pytest.fixture
def unrelated_host(hosts: Hosts) -> Host:
    """A host of the cluster that must not reach the stores: a node."""
    return hosts.group("nodes")[0]


@pytest.fixture
def balancer_host(hosts: Hosts) -> Host:
    """A host that must reach the stores."""
    return hosts.group("balancer")[0]
