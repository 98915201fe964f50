"""Looks for secrets where none may be: in pages, answers, headers and logs."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote

import requests

from acceptance.support.bbb import BBB, BBBError
from acceptance.support.environment import Environment
from acceptance.support.hosts import Host
from acceptance.support.meetings import Meeting

#: Units and files that serve requests; only what they wrote since the run began is read.
LOGS = """
journalctl --quiet --no-pager --output=cat --since "@$1"
find /var/log/nginx /var/log/bbb-fleet -type f -newermt "@$1" -exec tail -c 4000000 {} +
"""


@dataclass(frozen=True)
class Page:
    """One fetched answer: where, and everything of it in which a secret could stand."""

    place: str
    text: str


def secrets_of(environment: Environment) -> dict[str, str]:
    """Every secret of the cluster that the suite knows, by whose it is."""
    return {
        "the front end's secret": environment.secret,
        **{f"the secret of {node.name}": node.secret for node in environment.nodes},
    }


def pages(bbb: BBB, environment: Environment, meeting: Meeting) -> list[Page]:
    """Fetches answers of every kind: success, BBB's failures, pages for people, the web server's own errors.

    meeting: one of ours that runs; nobody joins it by this.
    """
    stranger = {"fullName": "Nobody", "meetingID": "acceptance-never-was", "role": "VIEWER"}
    wrong = f"{bbb.url}/create?name=x&meetingID=acceptance-never-was&checksum={'0' * 64}"
    fetched = {
        "the version": bbb.url,
        "a list of recordings": bbb.signed("getRecordings", {"recordID": "0" * 40}),
        "a repeated create": bbb.signed("create", meeting.parameters),
        "a getMeetingInfo": bbb.signed("getMeetingInfo", {"meetingID": meeting.id}),
        "the list of meetings": bbb.signed("getMeetings", {}),
        "a join": bbb.signed("join", meeting.join("Reader", "VIEWER")),
        "a failed getMeetingInfo": bbb.signed("getMeetingInfo", {"meetingID": "acceptance-never-was"}),
        "a refused signature": wrong,
        "a failed join": bbb.signed("join", stranger),
        "an unknown call": f"{bbb.url}/noSuchCall?checksum=0",
        "the start page": f"{environment.origin}/",
        "a page that is not there": f"{environment.origin}/no-such-page",
    }
    found = [
        _page(what, bbb.get(url, allow_redirects=False, headers={"Accept": accept}), accept)
        for what, url in fetched.items()
        for accept in ("text/html", "*/*")
    ]
    return [*found, _recording_page(bbb, environment)]


def found(secrets: dict[str, str], places: list[Page]) -> list[str]:
    """One line for each secret in each place, without the secret."""
    return [
        f"{whose} stands in {page.place}"
        for page in places
        for whose, secret in secrets.items()
        if secret in page.text or quote(secret, safe="") in page.text
    ]


def logs(host: Host, since: float) -> Page:
    """What a host has logged since a Unix time."""
    return Page(f"the logs of {host.name}", host.shell(LOGS, str(int(since))).output)


def _recording_page(bbb: BBB, environment: Environment) -> Page:
    what = "a recording that is not there"
    try:
        return _page(what, bbb.get(f"{environment.origin}/presentation/{'0' * 40}-1000000000000/metadata.xml"), "*/*")
    except BBBError as error:
        # Whether recordings are served is for the feature `record` to say; what does not answer shows nothing.
        return Page(f"{what}: {error}", "")


def _page(what: str, response: requests.Response, accept: str) -> Page:
    headers = "\n".join(f"{name}: {value}" for name, value in response.headers.items())
    host = response.url.split("/", 3)[2]
    return Page(f"{what} at {host} (HTTP {response.status_code}, Accept: {accept})", f"{headers}\n\n{response.text}")
