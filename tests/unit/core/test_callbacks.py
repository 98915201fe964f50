"""Tokens in the addresses that nodes call."""

import pytest

from balancer.core.callbacks import MEETING_ENDED, ended_meeting, meeting_ended_url
from balancer.core.tenants import Tenant
from balancer.web.canonical_paths import canonical

OURS = Tenant(1, "default", ("the-first-secret-0123", "the-second-secret-0123"), ("sha256",))
OTHER = Tenant(2, "other", ("another-secret-012345",), ("sha256",))


def token(tenant: Tenant, meeting_id: str) -> str:
    url = meeting_ended_url("https://bbb.example.org", tenant, meeting_id)
    address, _, found = url.partition("?token=")
    assert address == f"https://bbb.example.org{MEETING_ENDED}"
    return found


@pytest.mark.parametrize("meeting_id", ["course-1", "Übung 3 & mehr?", "x" * 256, "\U0001f600" * 2, "a.b", "=="])
def test_a_token_names_its_meeting(meeting_id: str) -> None:
    assert ended_meeting([OTHER, OURS], token(OURS, meeting_id)) == (OURS, meeting_id)


def test_no_secret_is_in_it_and_it_needs_no_encoding() -> None:
    made = token(OURS, "course-1")
    assert not any(secret in made for secret in OURS.secrets)
    assert set(made) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")


def test_it_outlives_the_rotation_of_a_secret() -> None:
    before = Tenant(1, "default", OURS.secrets[1:], ("sha256",))
    assert ended_meeting([OURS], token(before, "course-1")) == (OURS, "course-1")
    after = Tenant(1, "default", ("a-wholly-new-secret-1",), ("sha256",))
    assert ended_meeting([after], token(OURS, "course-1")) is None


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        ".",
        "..",
        "1..",
        "1.!.x",
        "1.Y291cnNlLTE",
        "1.Y291cnNlLTE.",
        "1.Y291cnNlLTE.\N{LATIN SMALL LETTER E WITH ACUTE}",
        "1._w.x",
        "1.\N{SNOWMAN}.x",
        "9.Y291cnNlLTE.x",
    ],
)
def test_what_is_no_token_names_nothing(wrong: str) -> None:
    assert ended_meeting([OURS, OTHER], wrong) is None


def test_a_token_is_good_for_one_meeting_of_one_tenant_alone() -> None:
    mine = token(OURS, "course-1")
    mark = mine.rpartition(".")[2]
    named = token(OTHER, "course-2").split(".")[1]
    for forged in (f"1.{named}.{mark}", f"2.{mine.split('.')[1]}.{mark}", mine[:-1], mine + "0"):
        assert ended_meeting([OURS, OTHER], forged) is None


def test_its_path_is_no_call_s() -> None:
    assert canonical(MEETING_ENDED) == MEETING_ENDED
