"""Searches pages, answers, headers and logs for secrets."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote

import requests

from acceptance.support.bbb import BBB, BBBError
from acceptance.support.environment import Environment
from acceptance.support.hosts import Host
from acceptance.support.meetings import Meeting

#: Prints what the services that answer requests have logged since a Unix time.
LOGS = """
journalctl --quiet --no-pager --output=cat --since "@$1"
find /var/log/nginx /var/log/bbb-fleet -type f -newermt "@$1" -exec tail -c 4000000 {} +
"""


@dataclass(frozen=True)
class SearchedText:
    """A text to search for secrets, such as an answer with its headers, and where it came from."""

    place: str
    text: str


def secrets_of(environment: Environment) -> dict[str, str]:
    """Every secret of the cluster that the suite knows, by its description."""
    return {
        "the front end's secret": environment.secret,
        **{f"the secret of {node.name}": node.secret for node in environment.nodes},
    }


def answers(bbb: BBB, environment: Environment, meeting: Meeting) -> list[SearchedText]:
    """Fetches answers of every kind: success, BBB's failures, pages for users, the web server's own errors.

    meeting: a running meeting of this run; this adds no user to it.
    """
    no_meeting = {"fullName": "Nobody", "meetingID": "acceptance-no-such-meeting", "role": "VIEWER"}
    wrong_checksum = f"{bbb.url}/create?name=x&meetingID=acceptance-no-such-meeting&checksum={'0' * 64}"
    fetched = {
        "the version": bbb.url,
        "a list of recordings": bbb.signed("getRecordings", {"recordID": "0" * 40}),
        "a repeated create": bbb.signed("create", meeting.parameters),
        "a getMeetingInfo": bbb.signed("getMeetingInfo", {"meetingID": meeting.id}),
        "the list of meetings": bbb.signed("getMeetings", {}),
        "a join": bbb.signed("join", meeting.join("Reader", "VIEWER")),
        "a failed getMeetingInfo": bbb.signed("getMeetingInfo", {"meetingID": "acceptance-no-such-meeting"}),
        "a refused signature": wrong_checksum,
        "a failed join": bbb.signed("join", no_meeting),
        "an unknown call": f"{bbb.url}/noSuchCall?checksum=0",
        "the start page": f"{environment.origin}/",
        "a page that is not there": f"{environment.origin}/no-such-page",
    }
    texts = [
        _text(what, bbb.get(url, allow_redirects=False, headers={"Accept": accept}), accept)
        for what, url in fetched.items()
        for accept in ("text/html", "*/*")
    ]
    return [*texts, _missing_recording(bbb, environment)]


def find(secrets: dict[str, str], texts: list[SearchedText]) -> list[str]:
    """One line for each secret in each text; it does not show the secret itself."""
    return [
        f"{name} appears in {searched.place}"
        for searched in texts
        for name, secret in secrets.items()
        if secret in searched.text or quote(secret, safe="") in searched.text
    ]


def logs(host: Host, since: float) -> SearchedText:
    """What a host has logged since a Unix time."""
    return SearchedText(f"the logs of {host.name}", host.shell(LOGS, str(int(since))).output)


def _missing_recording(bbb: BBB, environment: Environment) -> SearchedText:
    what = "a recording that is not there"
    try:
        return _text(what, bbb.get(f"{environment.origin}/presentation/{'0' * 40}-1000000000000/metadata.xml"), "*/*")
    except BBBError as error:
        # Without an answer there is nothing to search. The feature `record` judges whether recordings are served.
        return SearchedText(f"{what}: {error}", "")


def _text(what: str, response: requests.Response, accept: str) -> SearchedText:
    headers = "\n".join(f"{name}: {value}" for name, value in response.headers.items())
    host = response.url.split("/", 3)[2]
    place = f"{what} at {host} (HTTP {response.status_code}, Accept: {accept})"
    return SearchedText(place, f"{headers}\n\n{response.text}")
