"""The balancer hosts: settings that only the balancer reads, a share that comes back, files that others leave alone."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from acceptance.support import way
from acceptance.support.bbb import BBB, BBBError
from acceptance.support.eventually import eventually
from acceptance.support.hosts import Host
from acceptance.support.operator import Operator
from acceptance.support.outcomes import NotProved

GROUP = "balancer"
SETTINGS = "/etc/bbb-fleet/balancer.env"


def test_settings_are_closed_to_others(host: Host) -> None:
    """the settings, which hold secrets, are read by the balancer alone"""
    assert host.as_user(way.OWNER, 'test -r "$1"', SETTINGS).ok, f"{host.name}: {way.OWNER} cannot read {SETTINGS}"
    for user in ("nobody", "www-data"):
        assert not host.as_user(user, 'test -r "$1"', SETTINGS).ok, f"{host.name}: {user} can read {SETTINGS}"


def test_recordings_are_writable_by_who_must(host: Host) -> None:
    """the importer's account can write where recordings go"""
    if missing := way.share_missing(host):
        raise NotProved(f"blocked: {missing}")
    for directory in ("spool", "published", "unpublished", "deleted"):
        trouble = way.cannot_write(host, way.OWNER, f"{way.SHARE}/{directory}")
        assert not trouble, trouble


@pytest.mark.parametrize("user", ["nobody", "www-data"])
def test_recordings_are_closed_to_others(host: Host, user: str) -> None:
    """no other account can write where recordings are"""
    if missing := way.share_missing(host):
        raise NotProved(f"blocked: {missing}")
    for directory in ("spool", "published", "unpublished", "deleted"):
        path = f"{way.SHARE}/{directory}"
        assert not way.can_write(host, user, path), f"{host.name}: {user} can write to {path}"


@pytest.mark.disruptive
def test_share_returns_after_a_restart(
    host: Host, operator: Operator, bbb: BBB, patience: Callable[[float], float]
) -> None:
    """within 90 seconds after a restart of the host the share is mounted and the balancer answers"""
    if missing := way.share_missing(host):
        raise NotProved(f"blocked: {missing}")
    operator.restart_host(host.name)
    eventually(lambda: way.share_missing(host), lambda trouble: not trouble, within=patience(90), otherwise=str)
    eventually(lambda: _silence(bbb), lambda why: not why, within=patience(90), otherwise=str)


def _silence(bbb: BBB) -> str:
    try:
        bbb.call("getMeetings").succeeded()
    except BBBError as error:
        return str(error)
    return ""
