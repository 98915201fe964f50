"""Whatever arrives while every store is away: no traceback, no secret, BBB's shape of a failure, and 503 elsewhere."""

from flask import Flask
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import hostile
from tests.unit.web.conftest import SECRETS


def check(app: Flask, request: hostile.Hostile) -> None:
    hostile.check(request, hostile.ask(app, request), SECRETS, refusals=() if request.is_call else (503,))


@settings(max_examples=300)
@given(data=st.data())
def test_no_request_breaks_anything(app: Flask, data: st.DataObject) -> None:
    check(app, data.draw(hostile.requests_to(app, SECRETS[0])))


def test_no_value_of_any_parameter_breaks_anything(app: Flask) -> None:
    for request in hostile.every_route(app, SECRETS[1]):
        check(app, request)


def test_every_route_is_asked(app: Flask) -> None:
    routed = {rule.rule for rule in app.url_map.iter_rules()}
    assert {request.path for request in hostile.every_route(app, SECRETS[0])} == routed
    assert "/bigbluebutton/api/create" in routed
