"""The balancer hosts: their settings, the recordings' permissions, and the share after a restart."""

from __future__ import annotations

import pytest

from acceptance.support import recording_directories
from acceptance.support.bbb import BBB, BBBError
from acceptance.support.eventually import eventually
from acceptance.support.hosts import Host
from acceptance.support.operator import Operator
from acceptance.support.outcomes import NotProved
from acceptance.support.step_types import TimeLimit

GROUP = "balancer"
SETTINGS = "/etc/bbb-fleet/balancer.env"


def test_settings_are_closed_to_others(host: Host) -> None:
    """only the balancer can read its settings, which hold secrets"""
    owner = recording_directories.OWNER
    assert host.as_user(owner, 'test -r "$1"', SETTINGS).ok, f"{host.name}: {owner} cannot read {SETTINGS}"
    for user in ("nobody", "www-data"):
        assert not host.as_user(user, 'test -r "$1"', SETTINGS).ok, f"{host.name}: {user} can read {SETTINGS}"


@pytest.fixture
def share(host: Host) -> str:
    """The share's path on the host; raises NotProved if the share is not there."""
    if error := recording_directories.share_error(host):
        raise NotProved(f"blocked: {error}")
    return recording_directories.SHARE


def test_recordings_are_writable_by_the_importer(host: Host, share: str) -> None:
    """the importer's account can write to the directories of recordings"""
    for directory in recording_directories.DIRECTORIES:
        error = recording_directories.cannot_write(host, recording_directories.OWNER, f"{share}/{directory}")
        assert not error, error


@pytest.mark.parametrize("user", ["nobody", "www-data"])
def test_recordings_are_closed_to_others(host: Host, share: str, user: str) -> None:
    """no other account can write to the directories of recordings"""
    for directory in recording_directories.DIRECTORIES:
        path = f"{share}/{directory}"
        assert not recording_directories.can_write(host, user, path), f"{host.name}: {user} can write to {path}"


@pytest.mark.disruptive
@pytest.mark.usefixtures("share")
def test_share_returns_after_a_restart(host: Host, operator: Operator, bbb: BBB, time_limit: TimeLimit) -> None:
    """within 90 seconds after a restart of the host the share is mounted and the balancer answers"""
    operator.restart_host(host.name)
    for error in (lambda: recording_directories.share_error(host), lambda: _call_error(bbb)):
        eventually(error, lambda text: not text, within=time_limit(90), otherwise=str)


def _call_error(bbb: BBB) -> str:
    try:
        bbb.call("getMeetings").succeeded()
    except BBBError as error:
        return str(error)
    return ""
