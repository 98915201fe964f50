"""join: to the right node, from local data alone, with a readable page if it fails."""

import json
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from balancer.core.nodes import AdminState, ObservedState
from balancer.registry_copy import RegistryCopy
from balancer.storage.postgresql import nodes
from balancer.storage.postgresql.database import connect
from balancer.web.services import EXTENSION
from tests.integration.web.cluster import NODE_SECRET, Cluster, path, read, sign
from tests.integration.web.conftest import ClusterMaker

HTML = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


def errors(location: str) -> list[dict[str, str]]:
    found: list[dict[str, str]] = json.loads(parse_qs(urlsplit(location).query)["errors"][0])
    return found


def test_nothing_but_the_signature_is_changed(cluster: Cluster) -> None:
    cluster.create("course-1")
    query = (
        "userdata-b=2&meetingID=course-1&fullName=A+B%20C&role=VIEWER&userdata-a=%c3%a9&userdata-x[y]=1&redirect=true"
        "&unknown&unknown=&createTime=&guest=true&password=&fullName2=*'()!~%3Cb%3E"
    )
    answer = cluster.app.test_client().get(path("join", query))
    assert answer.status_code == 302
    assert answer.headers["Cache-Control"] == "no-store"
    target, _, sent = answer.headers["Location"].partition("?")
    assert target == cluster.nodes[cluster.home("course-1")].url + "join"
    assert sent == f"{query}&checksum={sign('join', query, NODE_SECRET)}"


def test_an_old_create_time_is_refused_after_a_new_create(cluster: Cluster) -> None:
    old = cluster.create("course-1")["createTime"]
    cluster.restart(cluster.home("course-1"))
    new = cluster.create("course-1")["createTime"]
    landed = [
        requests.get(cluster.join("course-1", createTime=time, redirect="false").location, timeout=10).text
        for time in (old, new)
    ]
    assert "<messageKey>mismatchCreateTimeParam</messageKey>" in landed[0]
    assert "<messageKey>successfullyJoined</messageKey>" in landed[1]


def test_with_redis_away_joins_go_on(cluster_on: ClusterMaker, database_url: str, own_redis: Any) -> None:
    cluster = cluster_on(database_url, own_redis.url())
    cluster.add("bbb1")
    cluster.poll()
    cluster.create("course-1")
    own_redis.stop()
    assert cluster.join("course-1").status_code == 302


def test_with_postgresql_away_joins_go_on(cluster_on: ClusterMaker, own_postgresql: Any, redis_url: str) -> None:
    cluster = cluster_on(own_postgresql.url(), redis_url)
    cluster.add("bbb1")
    cluster.poll()
    cluster.create("course-1")
    cluster.poll()
    own_postgresql.stop()
    assert cluster.join("course-1").status_code == 302
    assert cluster.call("getMeetingInfo", meetingID="course-1").success
    assert cluster.call("isMeetingRunning", meetingID="course-1").success
    assert cluster.call("getMeetings")["meetings/meeting/meetingID"] == "course-1"
    # Of an unknown meeting it cannot be said that it is not there.
    assert read(cluster.join("course-2")).key == "internalError"
    assert cluster.call("isMeetingRunning", meetingID="course-2").key == "internalError"


def test_with_both_stores_away_a_join_fails_clearly(
    cluster_on: ClusterMaker, own_postgresql: Any, own_redis: Any
) -> None:
    cluster = cluster_on(own_postgresql.url(), own_redis.url())
    cluster.add("bbb1")
    cluster.poll()
    cluster.create("course-1")
    own_postgresql.stop()
    own_redis.stop()
    answer = read(cluster.join("course-1"))
    assert answer.key == "internalError"
    assert "database" in answer["message"]


def test_a_process_that_starts_without_postgresql_knows_the_nodes(
    cluster_on: ClusterMaker, own_postgresql: Any, redis_url: str
) -> None:
    first = cluster_on(own_postgresql.url(), redis_url)
    first.add("bbb1")
    first.poll()
    first.create("course-1")
    own_postgresql.stop()
    second = cluster_on(own_postgresql.url(), redis_url)
    assert second.join("course-1").location.startswith(first.nodes["bbb1"].url)


def test_a_wiped_redis_is_filled_again(cluster: Cluster) -> None:
    cluster.create("course-1")
    cluster.services.redis.flushall()
    assert cluster.join("course-1").status_code == 302
    assert cluster.services.placements.find(1, "course-1")


def test_a_join_asks_neither_node_nor_postgresql(cluster: Cluster) -> None:
    cluster.create("course-1")
    home = cluster.home("course-1")
    before = len(cluster.requests(home, "join"))
    cluster.execute("ALTER TABLE meetings RENAME TO meetings_out_of_reach")
    assert cluster.join("course-1").status_code == 302
    assert len(cluster.requests(home, "join")) == before


def test_a_disabled_node_takes_no_joins(cluster: Cluster) -> None:
    cluster.create("course-1")
    cluster.set_state(cluster.home("course-1"), AdminState.DISABLED)
    assert read(cluster.join("course-1")).key == "serverUnavailable"


def test_a_node_enabled_a_moment_ago_takes_joins(cluster: Cluster) -> None:
    registry = RegistryCopy(cluster.settings, cluster.services.database, cluster.services.redis, refusal_max_age=0)
    cluster.app.extensions[EXTENSION] = replace(cluster.services, registry=registry)
    cluster.create("course-1")
    home = cluster.home("course-1")
    cluster.set_state(home, AdminState.DISABLED)
    with connect(cluster.settings.database_url) as connection:
        nodes.set_admin_state(connection, home, AdminState.ENABLED)
    assert cluster.join("course-1").status_code == 302


def test_a_draining_node_does(cluster: Cluster) -> None:
    cluster.create("course-1")
    cluster.set_state(cluster.home("course-1"), AdminState.DRAINING)
    assert cluster.join("course-1").status_code == 302


def test_no_user_is_sent_to_an_unreachable_node(cluster: Cluster) -> None:
    cluster.create("course-1")
    cluster.observe(cluster.home("course-1"), ObservedState.UNREACHABLE)
    assert read(cluster.join("course-1")).key == "serverUnavailable"


def test_a_changed_url_of_a_node_is_used_at_once(cluster: Cluster) -> None:
    cluster.create("course-1")
    cluster.execute(
        "UPDATE nodes SET url = 'https://new.example.org/bigbluebutton/api/', secret = 'a-new-secret-of-the-node'"
        " WHERE name = %s",
        cluster.home("course-1"),
    )
    cluster.services.registry.refresh()
    location = cluster.join("course-1").location
    assert location.startswith("https://new.example.org/bigbluebutton/api/join?")
    query, _, signature = location.partition("?")[2].rpartition("&checksum=")
    assert signature == sign("join", query, "a-new-secret-of-the-node")


@pytest.mark.parametrize(
    ("parameters", "key"),
    [
        ({"meetingID": "unknown"}, "meetingForciblyEnded"),
        ({"meetingID": ""}, "missingParamMeetingID"),
        ({"fullName": ""}, "missingParamFullName"),
        ({"fullName": "%"}, ""),
        ({"fullName": "x" * 7000}, "validationError"),
    ],
)
def test_failures_of_a_join(cluster: Cluster, parameters: dict[str, str], key: str) -> None:
    cluster.create("course-1")
    answer = (
        cluster.join(**{"meeting_id": "course-1"} | {}, **parameters)
        if "meetingID" not in parameters
        else (cluster.join(parameters["meetingID"]))
    )
    assert answer.status_code == 302 if not key else read(answer).key == key


def test_a_long_link_still_passes(cluster: Cluster) -> None:
    cluster.create("course-1")
    assert cluster.join("course-1", **{"userdata-long": "x" * 5000}).status_code == 302


@pytest.mark.parametrize("redirect", ["false", "FALSE"])
def test_without_redirect_a_failure_is_xml(cluster: Cluster, redirect: str) -> None:
    answer = cluster.join("unknown", HTML, redirect=redirect, errorRedirectUrl="https://lms.example.org/")
    assert read(answer).key == "meetingForciblyEnded"


@pytest.mark.parametrize(
    ("given", "before"),
    [
        ("https://lms.example.org/back", "https://lms.example.org/back?errors="),
        ("https://lms.example.org/?a=1#end", "https://lms.example.org/?a=1&errors="),
        ("https://lms.example.org/ä", "https://lms.example.org/%C3%A4?errors="),
    ],
)
def test_a_failure_goes_back_to_the_front_end_s_address(cluster: Cluster, given: str, before: str) -> None:
    answer = cluster.join("unknown", HTML, errorRedirectUrl=given)
    assert answer.status_code == 302
    assert answer.location.startswith(before)
    assert errors(answer.location)[0]["key"] == "meetingForciblyEnded"
    assert answer.location.endswith("#end") == given.endswith("#end")


@pytest.mark.parametrize(
    "given", ["javascript:alert(1)", "//evil.example.org", "https://", "https://a b", "https://[", "https://a\r\nX: y"]
)
def test_no_browser_is_sent_to_what_is_no_web_address(cluster: Cluster, given: str) -> None:
    assert read(cluster.join("unknown", errorRedirectUrl=given)).key == "meetingForciblyEnded"


def test_a_wrong_checksum_redirects_nowhere(cluster: Cluster) -> None:
    query = (
        "meetingID=unknown&fullName=Ann&errorRedirectUrl=https://evil.example.org/&logoutURL=https://evil.example.org/"
    )
    answer = cluster.app.test_client().get(path("join", query, secret="a-wrong-secret"), headers=HTML)
    assert answer.status_code == 200
    assert "Checksums do not match" in answer.text
    assert "evil" not in answer.text


def test_a_program_without_redirect_gets_xml_whatever_its_checksum(cluster: Cluster) -> None:
    query = "meetingID=unknown&fullName=Ann&redirect=false"
    answer = cluster.app.test_client().get(path("join", query, secret="a-wrong-secret"), headers=HTML)
    assert read(answer).key == "checksumError"


def test_people_get_a_page(cluster: Cluster) -> None:
    answer = cluster.join("unknown<b>", HTML, logoutURL="https://lms.example.org/course?a=1&b=2")
    assert (answer.status_code, answer.mimetype) == (200, "text/html")
    for part in (
        '<html lang="en">',
        "<title>You could not join the meeting</title>",
        "<main>",
        "already been forcibly ended",
        'href="https://lms.example.org/course?a=1&amp;b=2"',
    ):
        assert part in answer.text
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")


@pytest.mark.parametrize("accept", ["*/*", "application/json, text/plain, */*", "application/xml", ""])
def test_a_program_gets_xml(cluster: Cluster, accept: str) -> None:
    assert read(cluster.join("unknown", {"Accept": accept})).key == "meetingForciblyEnded"


def test_a_post_is_not_supported(cluster: Cluster) -> None:
    assert read(cluster.app.test_client().post(path("join", meetingID="x", fullName="y"))).key == "unsupportedRequest"
