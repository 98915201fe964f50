"""Whatever arrives, with real stores and nodes behind it: no 5xx, no traceback, no secret, BBB's XML for BBB's calls.

The routes are read from the app: a new one is covered by itself.
"""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import hostile
from tests.integration.web.cluster import NODE_SECRET, SECRET, Cluster
from tests.integration.web.site import Site


@pytest.fixture
def secrets(cluster: Cluster) -> list[str]:
    """A meeting and a recording are there, so that calls get as far as they can."""
    assert cluster.create(hostile.MEETING_ID).success
    cluster.execute(
        "INSERT INTO recordings (record_id, tenant_id, meeting_id, name, state, start_ms, end_ms)"
        " VALUES (%s, 1, %s, 'A meeting', 'published', 1757000000123, 1757000001123)",
        hostile.RECORD_ID,
        hostile.MEETING_ID,
    )
    return [*cluster.settings.secrets, NODE_SECRET, cluster.settings.database_url, cluster.settings.redis_url]


@settings(max_examples=200)
@given(data=st.data())
def test_no_request_breaks_anything(cluster: Cluster, secrets: list[str], data: st.DataObject) -> None:
    request = data.draw(hostile.requests_to(cluster.app, SECRET))
    hostile.check(request, hostile.ask(cluster.app, request), secrets)


def test_no_value_of_any_parameter_breaks_anything(cluster: Cluster, secrets: list[str]) -> None:
    for request in hostile.every_route(cluster.app, SECRET):
        hostile.check(request, hostile.ask(cluster.app, request), secrets)


@settings(max_examples=100)
@given(data=st.data())
def test_no_bytes_break_the_server(site: Site, data: st.DataObject) -> None:
    """Through gunicorn, which refuses by itself what is no HTTP, or announces no length that is one."""
    request = data.draw(hostile.requests_to(site.cluster.app, SECRET))
    secrets = [SECRET, NODE_SECRET, site.postgresql.url(), site.redis.url()]
    answer = request.parse_answer(site.server.exchange(request.encoded()))
    hostile.check(request, answer, secrets, refusals=(400,))
