"""Steps about the endpoint: its certificate, its redirects, and what it must never show."""

from __future__ import annotations

import time
from collections.abc import Callable
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
from acceptance.support.identity import fetch_certificate
from acceptance.support.leaks import Page
from acceptance.support.meetings import Meeting, Meetings
from acceptance.support.outcomes import NotProved

Note = Callable[[str], None]
Patience = Callable[[float], float]
#: Paths that only the balancer's own nginx asks for.
INTERNAL = ("/internal/playback", "/internal/", "/livez/../internal/playback", "/%69nternal/playback")


@pytest.fixture(scope="session", autouse=True)
def run_began() -> float:
    """Unix time at which the run began; logs are read from there."""
    return time.time()


@when("a front end asks the endpoint for its version", target_fixture="asked")
def ask_version(front_end: BBB, note: Note) -> requests.Response:
    if urlsplit(front_end.url).scheme != "https":
        raise NotProved(f"{front_end.url} is not an https URL, so there is no certificate to judge")
    response = front_end.get(front_end.url)
    note(f"version {front_end.parse('index', response).succeeded().text('version')}")
    return response


@then(parsers.parse("within {seconds:g} seconds it answers, with a certificate that is valid for its name"))
def valid_certificate(
    asked: requests.Response, environment: Environment, patience: Patience, note: Note, seconds: float
) -> None:
    took = asked.elapsed.total_seconds()
    assert took <= patience(seconds), f"{environment.origin} answered after {took:.1f} s only"
    certificate = x509.load_der_x509_certificate(fetch_certificate(environment.url, environment.ca_file))
    left = certificate.not_valid_after_utc - datetime.now(UTC)
    note(f"valid until {certificate.not_valid_after_utc:%Y-%m-%d}, {left.days} days")


@when("somebody opens the endpoint with http instead of https", target_fixture="plain")
def open_plain_http(environment: Environment, unreachable: str) -> requests.Response:
    parts = urlsplit(environment.url)
    if parts.scheme != "https":
        raise NotProved(f"{environment.url} is not an https URL")
    return BBB(environment.url, "").get(f"http://{parts.hostname}{parts.path}", allow_redirects=False)


@then(parsers.parse("within {seconds:g} seconds they are redirected to https on the same host"))
def redirected(plain: requests.Response, environment: Environment, seconds: float) -> None:
    target = plain.headers.get("Location", "")
    host = urlsplit(environment.url).hostname
    assert plain.is_redirect, f"http://{host} answers {plain.status_code} instead of leading to https"
    assert urlsplit(target)[:2] == ("https", urlsplit(environment.url).netloc), f"http://{host} leads to {target}"


@given(
    parsers.parse("pages, answers and failures of every kind, fetched within {seconds:g} seconds"),
    target_fixture="pages",
)
def fetch_pages(bbb: BBB, environment: Environment, meeting: Meeting, seconds: float) -> list[Page]:
    return leaks.pages(bbb, environment, meeting)


@then("none of them holds a secret")
def no_secret_in_pages(pages: list[Page], environment: Environment, note: Note) -> None:
    found = leaks.found(leaks.secrets_of(environment), pages)
    assert not found, "; ".join(found)
    note(f"{len(pages)} answers looked through")


@then("no log of this run holds a secret")
def no_secret_in_logs(hosts: Hosts, environment: Environment, run_began: float, note: Note) -> None:
    looked = [
        leaks.logs(host, run_began)
        for host in {h.name: h for g in ("balancer", "edge") for h in hosts.group(g)}.values()
    ]
    found = leaks.found(leaks.secrets_of(environment), looked)
    assert not found, "; ".join(found)
    note(", ".join(f"{page.place}: {len(page.text)} characters" for page in looked))


@then("the front end's secret and the nodes' secrets all differ")
def secrets_differ(environment: Environment, note: Note) -> None:
    owners: dict[str, list[str]] = {}
    for whose, secret in leaks.secrets_of(environment).items():
        owners.setdefault(secret, []).append(whose)
    same = [" and ".join(names) for names in owners.values() if len(names) > 1]
    assert not same, f"the same text: {'; '.join(same)}"
    note(f"{len(owners)} different secrets")


@then(parsers.parse("within {seconds:g} seconds each node refuses the front end's signature"))
def nodes_refuse(meetings: Meetings, environment: Environment, seconds: float) -> None:
    for node in environment.nodes:
        answer = BBB(node.url, environment.secret, environment.checksum, environment.verify).call("getMeetings")
        assert answer.key == "checksumError", f"{node.host} accepts the front end's secret"


@when("somebody asks for the internal pages from outside", target_fixture="internal")
def ask_internal(bbb: BBB, environment: Environment) -> dict[str, int]:
    return {
        path: bbb.get(environment.origin + path, allow_redirects=False, headers={"X-Original-URI": "/"}).status_code
        for path in INTERNAL
    }


@then(parsers.parse("within {seconds:g} seconds each is refused"))
def internal_refused(internal: dict[str, int], environment: Environment, note: Note, seconds: float) -> None:
    open_paths = [f"{path} answers {status}" for path, status in internal.items() if status < 400]
    assert not open_paths, f"{environment.origin} is open inside: {', '.join(open_paths)}"
    note(", ".join(f"{path} {status}" for path, status in internal.items()))
