"""The control API below /simulator, for tests and the lab; not part of BBB.

Every request carries `Authorization: Bearer <node secret>`; bodies and answers are JSON.
"""

import dataclasses
import hmac
import json
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from aiohttp import web

from lab.simulator import crowd
from lab.simulator.bbb_releases import PROFILES
from lab.simulator.meetings import Meeting
from lab.simulator.node import Node

if TYPE_CHECKING:
    from lab.simulator.server import NodeServer

_CHANGEABLE: dict[str, Callable[[Any], object]] = {
    "minute": float,
    "end_delay": float,
    "start_delay": float,
    "users_timeout": float,
    "left_users_linger": float,
    "callback_delays": lambda value: tuple(map(float, value)),
    "algorithms": tuple,
    "formats": dict,
    "fetch_all_recordings": bool,
    "requests_without_session": bool,
    "reveal_version": bool,
    "service_enabled": bool,
    "hooks_broken": bool,
    "authenticated_guest": bool,
    "max_request_line": int,
    "profile": PROFILES.__getitem__,
    "server_url": str,
    "secret": str,
}


class ControlError(Exception):
    """A control request is refused; the text gives the reason."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class Control:
    """Answers the control requests of one node."""

    def __init__(self, node: Node, server: "NodeServer") -> None:
        self._node, self._server = node, server
        self._routes: dict[tuple[str, str], Callable[[dict[str, Any]], Awaitable[object]]] = {
            ("GET", ""): self._state,
            ("GET", "/meetings"): self._meetings,
            ("GET", "/users"): self._users,
            ("POST", "/users"): self._add_users,
            ("DELETE", "/users"): self._remove_users,
            ("POST", "/record"): self._record,
            ("GET", "/recordings"): self._recordings,
            ("POST", "/rebuild"): self._rebuild,
            ("GET", "/callbacks"): self._callbacks,
            ("GET", "/requests"): self._requests,
            ("DELETE", "/requests"): self._forget_requests,
            ("GET", "/misbehaviour"): self._faults,
            ("POST", "/misbehaviour"): self._misbehave,
            ("DELETE", "/misbehaviour"): self._mend,
            ("POST", "/restart"): self._restart,
            ("POST", "/settings"): self._change_settings,
        }

    async def handle(self, request: web.BaseRequest, path: str) -> web.StreamResponse:
        """Answer one control request."""
        given = request.headers.get("Authorization", "")
        expected = f"Bearer {self._node.settings.secret}"
        if not hmac.compare_digest(given.encode(), expected.encode()):
            return web.json_response({"error": "Authorization: Bearer <node secret> is required"}, status=401)
        route = self._routes.get((request.method, path.removeprefix("/simulator").rstrip("/")))
        if route is None:
            return web.json_response({"error": f"no {request.method} {path}"}, status=404)
        try:
            return web.json_response(await route(await _read_parameters(request)))
        except ControlError as refused:
            return web.json_response({"error": str(refused)}, status=refused.status)
        except (KeyError, TypeError, ValueError) as error:
            return web.json_response({"error": f"{type(error).__name__}: {error}"}, status=400)

    async def _state(self, parameters: dict[str, Any]) -> object:
        node, log = self._node, self._node.request_log
        return {
            "server_url": node.settings.server_url,
            "release": node.settings.profile.release,
            "meetings": len(node.meetings),
            "users": sum(len(meeting.online()) for meeting in node.meetings),
            "skew_seconds": node.clock.skew,
            "faults": [fault.as_json() for fault in node.misbehaviour],
            "calls": log.totals,
            "running": +log.running,
            "most_at_once": log.most_at_once,
        }

    async def _meetings(self, parameters: dict[str, Any]) -> object:
        return {"meetings": [_meeting_as_json(meeting) for meeting in self._node.meetings]}

    async def _users(self, parameters: dict[str, Any]) -> object:
        return {"users": [crowd.as_json(user) for user in self._meeting(parameters).users.values()]}

    async def _add_users(self, parameters: dict[str, Any]) -> object:
        return {"users": crowd.add(self._node, self._meeting(parameters), parameters)}

    async def _remove_users(self, parameters: dict[str, Any]) -> object:
        return {"removed": crowd.remove(self._node, self._meeting(parameters), parameters)}

    async def _record(self, parameters: dict[str, Any]) -> object:
        meeting = self._meeting(parameters)
        changed = self._node.life.mark(meeting, on=bool(parameters.get("on", True)))
        return {"changed": changed, "recording": meeting.recording_on, "marks": len(meeting.record_marks)}

    async def _recordings(self, parameters: dict[str, Any]) -> object:
        return self._node.recorder.state()

    async def _rebuild(self, parameters: dict[str, Any]) -> object:
        try:
            self._node.recorder.rebuild(str(parameters["recordID"]))
        except FileNotFoundError as error:
            raise ControlError(404, str(error)) from error
        return {}

    async def _callbacks(self, parameters: dict[str, Any]) -> object:
        return {"attempts": [{"url": url, "outcome": outcome} for url, outcome in self._node.delivery.attempts]}

    async def _requests(self, parameters: dict[str, Any]) -> object:
        found = self._node.request_log.requests(parameters.get("call"), int(parameters.get("after", 0)))
        return {"requests": [request.as_json() for request in found]}

    async def _forget_requests(self, parameters: dict[str, Any]) -> object:
        self._node.request_log.clear()
        return {}

    async def _faults(self, parameters: dict[str, Any]) -> object:
        return {"faults": [fault.as_json() for fault in self._node.misbehaviour]}

    async def _misbehave(self, parameters: dict[str, Any]) -> object:
        return self._server.misbehave(parameters).as_json()

    async def _mend(self, parameters: dict[str, Any]) -> object:
        number = int(parameters["id"]) if "id" in parameters else None
        return {"lifted": [fault.as_json() for fault in self._server.mend(number)]}

    async def _restart(self, parameters: dict[str, Any]) -> object:
        """Restart after this answer: be down for `down_seconds`, then come back without memory."""
        self._node.background.spawn(self._server.restart(float(parameters.get("down_seconds", 0))))
        return {}

    async def _change_settings(self, parameters: dict[str, Any]) -> object:
        for name, value in parameters.items():
            if name not in _CHANGEABLE:
                raise ControlError(400, f"unknown setting {name}: change one of {', '.join(_CHANGEABLE)}")
            changed: dict[str, Any] = {name: _CHANGEABLE[name](value)}
            self._node.settings = dataclasses.replace(self._node.settings, **changed)
        return {"changed": sorted(parameters)}

    def _meeting(self, parameters: dict[str, Any]) -> Meeting:
        meeting = self._node.meetings.find(str(parameters.get("meetingID", "")))
        if meeting is None:
            raise ControlError(404, f"no meeting {parameters.get('meetingID')!r}: give meetingID")
        return meeting


async def _read_parameters(request: web.BaseRequest) -> dict[str, Any]:
    """Return the query's parameters, overridden by those of a JSON object in the body."""
    parameters: dict[str, Any] = dict(parse_qsl(request.raw_path.partition("?")[2], keep_blank_values=True))
    body = await request.read()
    if body:
        sent = json.loads(body)
        if not isinstance(sent, dict):
            raise ControlError(400, "the body must be a JSON object")
        parameters |= sent
    return parameters


def _meeting_as_json(meeting: Meeting) -> dict[str, object]:
    return {
        "meetingID": meeting.meeting_id,
        "internalMeetingID": meeting.internal_id,
        "name": meeting.name,
        "createTime": meeting.create_time,
        "voiceBridge": meeting.voice_bridge,
        "record": meeting.record,
        "recording": meeting.recording_on,
        "documents": meeting.documents,
        "metadata": meeting.metadata,
        "chat": [{"name": name, "message": text} for _, name, text in meeting.chat],
        "users": [crowd.as_json(user) for user in meeting.users.values()],
    }
