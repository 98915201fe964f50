"""Two tenants' rooms of one name, created on two nodes in one millisecond: BBB gives them one internalMeetingID."""

import time
from collections.abc import Callable

import pytest

from balancer.core.meetings import Identity, LiveMeeting, State
from balancer.core.nodes import AdminState
from balancer.core.tenants import Tenant
from balancer.registry_copy import RegistryCopy
from lab.simulator.clock import Clock
from tests.integration.cli.conftest import Commands
from tests.integration.web.cluster import Answer, Cluster, path, read
from tests.integration.web.test_meeting_list import listed

OTHER_SECRET = "a-secret-of-the-other-tenant"


@pytest.fixture(autouse=True)
def one_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    """All nodes' clocks stand still."""
    now = int(time.time() * 1000)
    monkeypatch.setattr(Clock, "milliseconds", lambda clock: now)


Caller = Callable[..., Answer]


def other_tenant(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> Caller:
    """A second tenant's front end; so far only the default tenant has secrets."""
    cluster.execute("INSERT INTO tenants (name) VALUES ('other')")
    cluster.services.registry.refresh()
    (default, blank) = cluster.services.tenants()
    other = Tenant(blank.id, blank.name, (OTHER_SECRET,), default.algorithms)
    monkeypatch.setattr(RegistryCopy, "tenants", lambda registry: (default, other))

    def call(name: str, /, **parameters: str) -> Answer:
        return read(cluster.app.test_client().get(path(name, secret=OTHER_SECRET, **parameters)))

    return call


@pytest.fixture
def other(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> Caller:
    return other_tenant(cluster, monkeypatch)


def born_together(cluster: Cluster, other: Caller) -> tuple[str, str]:
    """A room of each tenant; their nodes, the default tenant's first."""
    cluster.execute("UPDATE nodes SET weight = 9 WHERE name = 'bbb1'")
    theirs = other("create", meetingID="course-1", name="Theirs")
    ours = cluster.create("course-1", name="Ours")
    assert (theirs.success, ours.success) == (True, True), ours.response.text
    assert ours["internalMeetingID"] == theirs["internalMeetingID"]
    (_, first), (_, second) = ((row["tenant_id"], row["node_name"]) for row in cluster.rows("course-1"))
    return second, first


def name_of(answer: Answer) -> list[str | None]:
    return [each.findtext("meetingName") for each in answer.root.iterfind("meetings/meeting")]


def test_both_run_each_on_its_node(cluster: Cluster, other: Caller) -> None:
    assert born_together(cluster, other) == ("bbb2", "bbb1")
    assert cluster.states("course-1") == [("bbb1", "running"), ("bbb2", "running")]
    for _ in range(2):
        cluster.poll()
        assert cluster.states("course-1") == [("bbb1", "running"), ("bbb2", "running")]
    assert cluster.call("getMeetingInfo", meetingID="course-1")["meetingName"] == "Ours"
    assert other("getMeetingInfo", meetingID="course-1")["meetingName"] == "Theirs"


def test_the_end_of_one_is_not_the_other_s(cluster: Cluster, other: Caller) -> None:
    born_together(cluster, other)
    assert other("end", meetingID="course-1").success
    while other("end", meetingID="course-1").success:
        pass
    cluster.poll()
    assert cluster.states("course-1") == [("bbb1", "ended"), ("bbb2", "running")]
    assert cluster.create("course-1").key == "duplicateWarning"


def test_each_front_end_lists_its_own_before_a_poll_and_after_it(cluster: Cluster, other: Caller) -> None:
    born_together(cluster, other)
    for _ in range(2):
        assert name_of(cluster.call("getMeetings")) == ["Ours"]
        assert name_of(other("getMeetings")) == ["Theirs"]
        cluster.poll()


def test_each_front_end_lists_its_own_without_postgresql(  # type: ignore[no-untyped-def]
    cluster_on, own_postgresql, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = cluster_on(own_postgresql.url(), redis_url)
    cluster.add("bbb1", "bbb2")
    cluster.poll()
    other = other_tenant(cluster, monkeypatch)
    born_together(cluster, other)
    cluster.poll()
    own_postgresql.stop()
    assert name_of(cluster.call("getMeetings")) == ["Ours"]
    assert name_of(other("getMeetings")) == ["Theirs"]


def test_what_timed_out_on_one_node_is_closed_there_while_the_other_runs(cluster: Cluster, other: Caller) -> None:
    cluster.execute("UPDATE nodes SET weight = 9 WHERE name = 'bbb1'")
    assert other("create", meetingID="course-1", name="Theirs").success
    # bbb2 creates ours at the same moment, and its create gets no answer.
    cluster.misbehave("bbb2", "error", after=True, calls=["create"])
    assert not cluster.create("course-1", name="Ours").success
    cluster.mend("bbb2")
    assert cluster.states("course-1") == [("bbb1", "running"), ("bbb2", "lost")]
    cluster.poll()
    deadline = time.monotonic() + 30
    while "course-1" in cluster.meetings("bbb2"):
        assert time.monotonic() < deadline, "what the create left over is not ended"
    assert "course-1" in cluster.meetings("bbb1")


def test_a_create_that_finished_without_us_is_adopted_beside_its_namesake(cluster: Cluster, other: Caller) -> None:
    born_together(cluster, other)
    # As a worker leaves it that dies before it wrote the answer down.
    cluster.execute(
        "UPDATE meetings SET state = 'creating', internal_meeting_id = NULL, created_at = NULL,"
        " placed_at = now() - interval '1 hour' WHERE node_name = 'bbb2'"
    )
    cluster.poll()
    assert cluster.states("course-1") == [("bbb1", "running"), ("bbb2", "running")]


def test_a_lost_one_is_no_twin_because_of_its_namesake(cluster: Cluster, other: Caller, commands: Commands) -> None:
    _, home = born_together(cluster, other)
    cluster.add("bbb3")
    cluster.poll()
    # The other tenant's was given up with its node, and lives on a third one.
    cluster.restart(home)
    cluster.execute("UPDATE meetings SET state = 'lost', finished_at = now() WHERE node_name = %s", home)
    cluster.set_state(home, AdminState.DRAINING)
    cluster.poll()
    assert other("create", meetingID="course-1", name="Theirs").success
    assert listed(cluster).keys() == {"course-1"}
    assert commands.json("meeting", "twins")["twins"] == []


def test_a_twin_is_still_listed_once_its_node_was_registered_again(cluster: Cluster, commands: Commands) -> None:
    first = cluster.create("course-1")
    home = cluster.home("course-1")
    cluster.poll()
    cluster.execute("UPDATE meetings SET state = 'lost', finished_at = now(), node_id = NULL")
    cluster.set_state(home, AdminState.DRAINING)
    assert cluster.create("course-1").success
    (twin,) = commands.json("meeting", "twins")["twins"]
    assert (twin["internal_meeting_id"], twin["users"]) == (first["internalMeetingID"], 0)


@pytest.mark.parametrize("passwords", ["the same", "others"])
def test_a_meeting_on_a_node_that_was_registered_again_is_not_handed_to_another_tenant(
    cluster: Cluster, other: Caller, passwords: str
) -> None:
    theirs = {"attendeePW": "attendee", "moderatorPW": "moderator"}
    assert other("create", meetingID="course-1", name="Theirs", **theirs).success
    (home,) = (row["node_name"] for row in cluster.rows("course-1"))
    cluster.set_state("bbb2" if home == "bbb1" else "bbb1", AdminState.DISABLED)
    # As an operator does it who takes the node out by force and gives it a new name.
    cluster.execute("UPDATE meetings SET state = 'lost', finished_at = now()")
    cluster.execute("CREATE TABLE kept AS SELECT * FROM nodes WHERE name = %s", home)
    cluster.execute("DELETE FROM nodes WHERE name = %s", home)
    cluster.execute("INSERT INTO nodes (name, url, secret, admin_state) SELECT 'new', url, secret, 'enabled' FROM kept")
    cluster.services.registry.refresh()
    cluster.poll(2)
    ours = theirs if passwords == "the same" else {"attendeePW": "a-other", "moderatorPW": "m-other"}
    assert not cluster.create("course-1", name="Ours", **ours).success
    cluster.poll()
    assert cluster.call("getMeetingInfo", meetingID="course-1").key == "notFound"
    assert "running" not in [state for _, state in cluster.states("course-1")]


def test_what_a_poll_is_about_to_end_is_not_handed_out_because_its_node_was_registered_again(cluster: Cluster) -> None:
    created = cluster.create("course-1")
    home = cluster.home("course-1")
    cluster.set_state("bbb2" if home == "bbb1" else "bbb1", AdminState.DISABLED)
    # A create had left it over on the node as it was registered before.
    cluster.execute("UPDATE meetings SET state = 'lost', finished_at = now(), created_at = NULL, node_id = NULL")
    assert not cluster.create("course-1").success
    assert created["internalMeetingID"] not in {
        row["internal_meeting_id"] for row in cluster.rows("course-1") if row["state"] == "running"
    }


def test_a_meeting_stays_its_row_s_if_the_other_one_s_node_was_removed(cluster: Cluster, other: Caller) -> None:
    removed, home = born_together(cluster, other)
    cluster.execute(
        "UPDATE meetings SET state = 'lost', finished_at = now(), node_id = NULL WHERE node_name = %s", removed
    )
    (row,) = [row for row in cluster.rows("course-1") if row["node_name"] == home]
    # A rival that had the row while it was being created, and is answered only now.
    placement = LiveMeeting(
        id=row["id"],
        tenant_id=row["tenant_id"],
        meeting_id="course-1",
        state=State.CREATING,
        node=cluster.nodes[home],
    )
    assert cluster.services.creation.store.settle(placement, Identity(row["internal_meeting_id"], row["create_time"]))
    assert (home, "running") in cluster.states("course-1")
    place = cluster.services.meetings.find(row["tenant_id"], "course-1")
    assert place is not None
    assert place.row == row["id"]
