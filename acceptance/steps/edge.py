"""Steps about the endpoint: its certificate, its redirects, its secrets and its internal pages."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from urllib.parse import urlsplit

import pytest
import requests
from cryptography import x509
from pytest_bdd import given, parsers, then, when

from acceptance.support import leaks
from acceptance.support.bbb import BBB
from acceptance.support.environment import Environment
from acceptance.support.hosts import Hosts
from acceptance.support.leaks import SearchedText
from acceptance.support.meetings import Meeting
from acceptance.support.node_identity import fetch_certificate
from acceptance.support.outcomes import NotProved
from acceptance.support.step_types import Note, TimeLimit

#: Paths that only the balancer's own nginx may request.
INTERNAL = ("/internal/playback", "/internal/", "/livez/../internal/playback", "/%69nternal/playback")


@pytest.fixture(scope="session", autouse=True)
def run_began() -> float:
    """Unix time at which the run began; older log lines are not searched."""
    return time.time()


@when("a front end asks the endpoint for its version", target_fixture="version_response")
def ask_version(front_end: BBB, note: Note) -> requests.Response:
    if urlsplit(front_end.url).scheme != "https":
        raise NotProved(f"{front_end.url} is not an https URL, so there is no certificate to judge")
    response = front_end.get(front_end.url)
    note(f"version {front_end.parse('index', response).succeeded().text('version')}")
    return response


@then(parsers.parse("within {seconds:g} seconds the endpoint answers, with a certificate that is valid for its name"))
def valid_certificate(
    version_response: requests.Response,
    environment: Environment,
    time_limit: TimeLimit,
    note: Note,
    seconds: float,
) -> None:
    took = version_response.elapsed.total_seconds()
    assert took <= time_limit(seconds), f"{environment.origin} took {took:.1f} s to answer"
    certificate = x509.load_der_x509_certificate(fetch_certificate(environment.url, environment.ca_file))
    left = certificate.not_valid_after_utc - datetime.now(UTC)
    note(f"valid until {certificate.not_valid_after_utc:%Y-%m-%d}, {left.days} days")


@when("a user opens the endpoint with http instead of https", target_fixture="plain_response")
def open_plain_http(environment: Environment) -> requests.Response:
    parts = urlsplit(environment.url)
    if parts.scheme != "https":
        raise NotProved(f"{environment.url} is not an https URL")
    return BBB(environment.url, "").get(f"http://{parts.hostname}{parts.path}", allow_redirects=False)


@then(parsers.parse("within {seconds:g} seconds the user is redirected to https on the same host"))
def redirected(plain_response: requests.Response, environment: Environment) -> None:
    target = plain_response.headers.get("Location", "")
    host = urlsplit(environment.url).hostname
    assert plain_response.is_redirect, f"http://{host} answers {plain_response.status_code} instead of a redirect"
    assert urlsplit(target)[:2] == ("https", urlsplit(environment.url).netloc), f"http://{host} leads to {target}"


@given(
    parsers.parse("pages, answers and failures of every kind, fetched within {seconds:g} seconds"),
    target_fixture="fetched",
)
def fetch_answers(bbb: BBB, environment: Environment, meeting: Meeting) -> list[SearchedText]:
    return leaks.answers(bbb, environment, meeting)


@then("no fetched page or header holds a secret")
def no_secret_in_answers(fetched: list[SearchedText], environment: Environment, note: Note) -> None:
    found = leaks.find(leaks.secrets_of(environment), fetched)
    assert not found, "; ".join(found)
    note(f"{len(fetched)} answers searched")


@then("no log of this run holds a secret")
def no_secret_in_logs(hosts: Hosts, environment: Environment, run_began: float, note: Note) -> None:
    # A host may be in both groups.
    by_name = {host.name: host for group in ("balancer", "edge") for host in hosts.group(group)}
    logs = [leaks.logs(host, run_began) for host in by_name.values()]
    found = leaks.find(leaks.secrets_of(environment), logs)
    assert not found, "; ".join(found)
    note(", ".join(f"{log.place}: {len(log.text)} characters" for log in logs))


@then("the front end's secret and the nodes' secrets all differ")
def secrets_differ(environment: Environment, note: Note) -> None:
    owners: dict[str, list[str]] = {}
    for name, secret in leaks.secrets_of(environment).items():
        owners.setdefault(secret, []).append(name)
    same = [" and ".join(names) for names in owners.values() if len(names) > 1]
    assert not same, f"not different: {'; '.join(same)}"
    note(f"{len(owners)} different secrets")


@then(parsers.parse("within {seconds:g} seconds each node refuses the front end's signature"))
def nodes_refuse(environment: Environment) -> None:
    for node in environment.nodes:
        answer = BBB(node.url, environment.secret, environment.checksum, environment.verify).call("getMeetings")
        assert answer.key == "checksumError", f"{node.host} accepts the front end's secret"


@when("a client outside the cluster asks for the internal pages", target_fixture="internal_statuses")
def ask_internal(bbb: BBB, environment: Environment) -> dict[str, int]:
    return {
        path: bbb.get(environment.origin + path, allow_redirects=False, headers={"X-Original-URI": "/"}).status_code
        for path in INTERNAL
    }


@then(parsers.parse("within {seconds:g} seconds each internal page is refused"))
def internal_refused(internal_statuses: dict[str, int], environment: Environment, note: Note) -> None:
    open_paths = [f"{path} answers {status}" for path, status in internal_statuses.items() if status < 400]
    assert not open_paths, f"{environment.origin} shows internal pages: {', '.join(open_paths)}"
    note(", ".join(f"{path} {status}" for path, status in internal_statuses.items()))
