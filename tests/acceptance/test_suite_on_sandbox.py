"""The acceptance suite, run against a real balancer with simulated nodes on loopback."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Callable

import psycopg
import pytest

from acceptance.support.eventually import eventually
from acceptance.support.undo_log import UndoLog
from tests.acceptance.conftest import PROJECT, Site

pytestmark = [pytest.mark.browser, pytest.mark.slow]

ONLY_JOIN = ("-k", "test_join")


def test_scenarios_pass_and_leave_nothing(site: Site, foreign_meeting: Callable[[], bool]) -> None:
    """A run in which everything passes exits 0 and does not touch meetings of others."""
    run = site.accept(*ONLY_JOIN)
    assert run.status == 0, run.output
    assert set(run.outcomes().values()) == {"passed"}
    assert foreign_meeting()
    eventually(
        lambda: [meeting.text for meeting in site.api.call("getMeetings").all("meetings/meeting/meetingID")],
        lambda names: names == ["a-lecture"],
        within=60,
        otherwise=lambda names: f"left behind: {names}",
    )
    assert not site.undo_log.exists()


def test_both_reports_have_the_same_head(site: Site) -> None:
    """The page and junit.xml have versions, owner, rollback point, time, environment and share, but no secret."""
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


def test_an_unproved_scenario_fails_the_run_unless_it_is_listed(site: Site) -> None:
    """Without https in the sandbox the scenario is not proved, and only a listed reason makes the run acceptable."""
    run = site.accept("-k", "redirect or plain_http")
    assert run.status == 1, run.output
    assert "NOT PROVED edge/plain HTTP leads to HTTPS" in run.output
    gaps = [{"scenario": "edge/plain HTTP*", "reason": "loopback only"}]
    accepted = site.accept("-k", "redirect or plain_http", environment=site.environment(accepted_gaps=gaps))
    assert accepted.status == 0, accepted.output
    assert "loopback only" in accepted.page


def test_disruptive_scenarios_need_permission(site: Site) -> None:
    """Without `disruptive: true` no node is disabled, and the run shows these scenarios as skipped."""
    run = site.accept("-k", "test_disable", environment=site.environment(disruptive=False))
    assert run.status == 1
    assert set(run.outcomes().values()) == {"skipped"}
    assert set(site.admin_states().values()) == {"enabled"}


def test_a_wrong_secret_fails_with_a_readable_message(site: Site) -> None:
    """The page says which call failed, on which host, and why."""
    run = site.accept("-k", "guest", environment=site.environment(secret="not-the-secret-of-it"))
    assert run.status == 1
    assert "create at 127.0.0.1 failed: checksumError" in run.page


def test_the_next_run_undoes_what_a_crashed_one_left(site: Site) -> None:
    """A run that is killed while a node is disabled leaves its undo log; the next run enables the node again."""
    running = subprocess.Popen(
        site.command("-k", "disabled_node_gets_no"), cwd=PROJECT, stdout=subprocess.DEVNULL, start_new_session=True
    )
    try:
        # The database is asked because the node is disabled for little longer than a command takes.
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
    logged = [json.loads(line) for line in site.undo_log.read_text().splitlines()]
    assert "node-state" in {line["do"]["kind"] for line in logged if "do" in line}
    run = site.accept("-k", "guest")
    assert run.status == 0, run.output
    assert "From an earlier run: node" in run.output
    assert set(site.admin_states().values()) == {"enabled"}
    assert not site.undo_log.exists()


def test_what_cannot_be_restored_fails_the_run_and_is_in_its_report(site: Site) -> None:
    """Scenarios are still judged. The page names the node that was not restored, and the undo log keeps it."""
    UndoLog(site.undo_log).will_change("node-state", "node1", "enabled")
    cannot_enable = site.environment(operator={**site.content()["operator"], "node_enable": ["false"]})
    run = site.accept("-k", "guest", environment=cannot_enable)
    assert run.status == 1, run.output
    assert set(run.outcomes().values()) == {"passed"}
    assert "node node1 could not be restored to enabled" in run.page
    assert run.properties()["clean_up"].startswith("failed: node node1 could not be restored")
    assert site.accept("-k", "guest").status == 0
    assert not site.undo_log.exists()


def test_a_second_run_is_refused(site: Site) -> None:
    """During a run, a second one on the same environment is refused and changes nothing."""
    with UndoLog(site.undo_log).locked():
        second = site.accept("-k", "guest")
    assert second.status == 4, second.output
    assert "another run uses this environment" in second.output
