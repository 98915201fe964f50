"""The acceptance suite itself, run against a real balancer with simulated nodes on loopback."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Callable

import psycopg
import pytest

from acceptance.support.eventually import eventually
from acceptance.support.journal import Journal
from tests.acceptance.conftest import PROJECT, Site

pytestmark = [pytest.mark.browser, pytest.mark.slow]

ONLY_JOIN = ("-k", "test_join")


def test_scenarios_pass_and_leave_nothing(site: Site, foreign_meeting: Callable[[], bool]) -> None:
    """A run that proves everything it was asked for exits 0, and touches nobody else's meeting."""
    run = site.accept(*ONLY_JOIN)
    assert run.status == 0, run.output
    assert set(run.outcomes().values()) == {"passed"}
    assert foreign_meeting()
    listed = site.api.call("getMeetings").all("meetings/meeting/meetingID")
    eventually(
        lambda: [meeting.text for meeting in site.api.call("getMeetings").all("meetings/meeting/meetingID")],
        lambda names: names == ["a-lecture"],
        within=60,
        otherwise=lambda names: f"left behind: {names}, at first {[one.text for one in listed]}",
    )
    assert not site.journal.exists()


def test_both_reports_have_the_same_head(site: Site) -> None:
    """Versions, owner, rollback point, time, environment and share are in the page and in junit.xml; no secret is."""
    run = site.accept("-k", "guest", "--owner", "Ada", "--rollback-point", "snapshot 7")
    head = run.properties()
    assert head["owner"] == "Ada"
    assert head["rollback_point"] == "snapshot 7"
    assert head["clean_up"] == "passed"
    assert {"environment", "time", "balancer_version", "node_versions", "connector_version", "recordings_share"} <= set(
        head
    )
    assert all(value in run.page for value in ("Ada", "snapshot 7", "Accepted.", "a guest waits for a moderator"))
    secrets = [site.sandbox.secret, *site.sandbox.state()["secrets"]["nodes"]]
    texts = [run.page, (run.report / "junit.xml").read_text(), run.output]
    assert not [secret for secret in secrets for text in texts if secret in text]


def test_what_is_not_proved_spoils_the_run_unless_it_is_listed(site: Site) -> None:
    """The sandbox has no https: that is neither a pass nor a failure, and only a listed reason makes it acceptable."""
    run = site.accept("-k", "redirect or plain_http")
    assert run.status == 1, run.output
    assert "NOT PROVED edge/plain HTTP leads to HTTPS" in run.output
    gaps = [{"scenario": "edge/plain HTTP*", "reason": "loopback only"}]
    listed = site.accept("-k", "redirect or plain_http", environment=site.environment(accepted_gaps=gaps))
    assert listed.status == 0, listed.output
    assert "loopback only" in listed.page


def test_disruptive_scenarios_wait_for_permission(site: Site) -> None:
    """Without `disruptive: true` nothing is disabled, and the run says what it left out."""
    run = site.accept("-k", "test_disable", environment=site.environment(disruptive=False))
    assert run.status == 1
    assert set(run.outcomes().values()) == {"skipped"}
    assert set(site.admin_states().values()) == {"enabled"}


def test_a_wrong_secret_fails_in_plain_words(site: Site) -> None:
    """A failure says which call failed where, and why; the page shows it."""
    run = site.accept("-k", "guest", environment=site.environment(secret="not-the-secret-of-it"))
    assert run.status == 1
    assert "create at 127.0.0.1 failed: checksumError" in run.page


def test_the_next_run_restores_what_a_crashed_one_left(site: Site) -> None:
    """A run that is killed while a node is disabled leaves a journal; the next run enables the node again."""
    running = subprocess.Popen(
        site.command("-k", "disabled_node_gets_no"), cwd=PROJECT, stdout=subprocess.DEVNULL, start_new_session=True
    )
    try:
        # Asked of the database itself: the node is disabled for little longer than a command of ours takes.
        with psycopg.connect(site.sandbox.state()["urls"]["postgresql"], autocommit=True) as connection:
            eventually(
                lambda: {row[0] for row in connection.execute("SELECT admin_state FROM nodes")},
                lambda states: "disabled" in states,
                within=90,
                every=0.02,
                otherwise=lambda states: f"no node was disabled: {states}",
            )
    finally:
        running.send_signal(signal.SIGKILL)
        running.wait()
    noted = [json.loads(line) for line in site.journal.read_text().splitlines()]
    assert "node-state" in {line["do"]["kind"] for line in noted if "do" in line}
    run = site.accept("-k", "guest")
    assert run.status == 0, run.output
    assert "From an earlier run: node" in run.output
    assert set(site.admin_states().values()) == {"enabled"}
    assert not site.journal.exists()


def test_what_cannot_be_put_back_spoils_the_run_and_is_in_its_report(site: Site) -> None:
    """Scenarios are judged all the same; the page says which node is not as it was, and the journal keeps it."""
    Journal(site.journal).will_change("node-state", "node1", "enabled")
    helpless = site.environment(operator={**site.content()["operator"], "node_enable": ["false"]})
    run = site.accept("-k", "guest", environment=helpless)
    assert run.status == 1, run.output
    assert set(run.outcomes().values()) == {"passed"}
    assert "node node1 could not be put back to enabled" in run.page
    assert run.properties()["clean_up"].startswith("failed: node node1 could not be put back")
    assert site.accept("-k", "guest").status == 0
    assert not site.journal.exists()


def test_two_runs_do_not_mix(site: Site) -> None:
    """While one run is at work, a second one on the same environment is refused and changes nothing."""
    with Journal(site.journal).held():
        second = site.accept("-k", "guest")
    assert second.status == 4, second.output
    assert "another run uses this environment" in second.output
