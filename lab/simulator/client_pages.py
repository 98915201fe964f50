"""Open client pages, each of which keeps its user in the meeting (reference 3.3.3)."""

import asyncio
import json
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import parse_qs

from aiohttp import WSMsgType, web

from lab.simulator.meetings import Meeting, Presence, User
from lab.simulator.node import Node

#: Seconds after which a page that vanished without closing its connection is detected.
_HEARTBEAT = 10.0
#: Seconds that a closing connection waits for the page's confirmation.
_GOODBYE = 1.0


class ClientPages:
    """The open websockets of one node, by internal user id."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._open: dict[str, web.WebSocketResponse] = {}
        self._stale: dict[str, Meeting] = {}
        node.life.listeners.append(self._on_event)

    async def connect(self, request: web.BaseRequest) -> web.StreamResponse:
        """Serve one page's websocket while it is open."""
        found = self._authorised(request)
        if found is None:
            return web.json_response({"response": "unauthorized", "message": "Session Unauthorized"}, status=401)
        meeting, user = found
        socket = web.WebSocketResponse(heartbeat=_HEARTBEAT, timeout=_GOODBYE)
        await socket.prepare(request)
        await self._replace(user, socket)
        try:
            if self._enter(meeting, user):
                await self._listen(socket, meeting, user)
            else:
                await _farewell(socket, "The meeting is full.", "")
        finally:
            if self._open.get(user.internal_id) is socket:
                del self._open[user.internal_id]
                self._node.life.leave(meeting, user)
        return socket

    async def close(self) -> None:
        """Close every page without notice, like a crashing node."""
        pages, self._open = list(self._open.values()), {}
        await asyncio.gather(*(page.close() for page in pages))

    def _authorised(self, request: web.BaseRequest) -> tuple[Meeting, User] | None:
        query = parse_qs(request.raw_path.partition("?")[2])
        cookie = SimpleCookie(request.headers.get("Cookie", "")).get("JSESSIONID")
        return self._node.session(query.get("sessionToken", [""])[0], None if cookie is None else cookie.value)

    async def _replace(self, user: User, socket: web.WebSocketResponse) -> None:
        older = self._open.get(user.internal_id)
        self._open[user.internal_id] = socket
        if older is not None:
            await older.close()

    def _enter(self, meeting: Meeting, user: User) -> bool:
        if user.presence is Presence.ONLINE:
            return True
        if user.guest_status == "WAIT":
            user.presence, user.since = Presence.WAITING, self._node.life.now()
            meeting.users[user.internal_id] = user
            self._node.life.changed(meeting)
            return True
        return self._node.life.enter(meeting, user)

    async def _listen(self, socket: web.WebSocketResponse, meeting: Meeting, user: User) -> None:
        await socket.send_json(self._state(meeting, user))
        async for received in socket:
            if received.type is not WSMsgType.TEXT:
                continue
            message = json.loads(received.data)
            if message["type"] == "leave":
                await _farewell(socket, "You have left the meeting.", self._exit(meeting))
                return
            self._do(meeting, user, message)

    def _do(self, meeting: Meeting, user: User, message: dict[str, Any]) -> None:
        life, kind = self._node.life, message["type"]
        moderates = user.role == "MODERATOR" and user.presence is Presence.ONLINE
        if kind in ("voice", "video"):
            setattr(user, kind, bool(message["on"]))
            life.changed(meeting, user)
        elif kind == "chat":
            meeting.chat.append((self._node.clock.milliseconds(), user.name, str(message["message"])[:500]))
            life.changed(meeting)
        elif kind == "record" and moderates and meeting.allow_start_stop_recording:
            life.mark(meeting, on=bool(message["on"]))
        elif kind in ("admit", "deny") and moderates:
            self._decide(meeting, meeting.users.get(message["user"]), admit=kind == "admit")

    def _decide(self, meeting: Meeting, guest: User | None, *, admit: bool) -> None:
        if guest is None or guest.presence is not Presence.WAITING:
            return
        guest.guest_status = "ALLOW" if admit else "DENY"
        if admit:
            self._node.life.enter(meeting, guest)
        else:
            meeting.users.pop(guest.internal_id, None)
            self._dismiss(guest, "A moderator denied you access to the meeting.", self._exit(meeting))
            self._node.life.changed(meeting)

    def _exit(self, meeting: Meeting) -> str:
        return meeting.logout_url or self._node.settings.server_url

    def _on_event(self, event: str, meeting: Meeting, user: User | None) -> None:
        if not self._open:
            return
        if event == "ended":
            for member in meeting.users.values():
                self._dismiss(member, "The meeting has ended.", self._exit(meeting))
        elif event == "ejected" and user is not None:
            self._dismiss(user, "You joined from another place.", self._exit(meeting))
        elif meeting.internal_id not in self._stale:
            # Many simultaneous changes, such as the arrival of a crowd, cause one refresh.
            self._stale[meeting.internal_id] = meeting
            asyncio.get_running_loop().call_soon(self._refresh, meeting)

    def _refresh(self, meeting: Meeting) -> None:
        self._stale.pop(meeting.internal_id, None)
        for user in meeting.users.values():
            if (page := self._open.get(user.internal_id)) is not None and not page.closed:
                self._node.background.spawn(_send(page, self._state(meeting, user)))

    def _dismiss(self, user: User, text: str, target: str) -> None:
        if (page := self._open.get(user.internal_id)) is not None:
            self._node.background.spawn(_farewell(page, text, target))

    def _state(self, meeting: Meeting, user: User) -> dict[str, Any]:
        moderator = user.role == "MODERATOR"
        waiting = [other for other in meeting.users.values() if other.presence is Presence.WAITING]
        return {
            "type": "state",
            "name": meeting.name,
            "waiting": user.presence is Presence.WAITING,
            "recording": meeting.recording_on,
            "mayRecord": moderator and meeting.record and meeting.allow_start_stop_recording,
            "settings": user.custom,
            "users": [_shown(other) for other in meeting.online()],
            "guests": [{"id": guest.internal_id, "name": guest.name} for guest in waiting] if moderator else [],
            "chat": [{"name": name, "message": text} for _, name, text in meeting.chat],
        }


def _shown(user: User) -> dict[str, object]:
    return {
        "name": user.name,
        "role": user.role,
        "presenter": user.presenter,
        "voice": user.voice,
        "video": user.video,
    }


async def _send(page: web.WebSocketResponse, values: dict[str, Any]) -> None:
    if not page.closed:
        try:
            await page.send_json(values)
        except ConnectionError:
            # The page closed after the check; the task that reads from it handles that.
            return


async def _farewell(page: web.WebSocketResponse, text: str, target: str) -> None:
    await _send(page, {"type": "over", "text": text, "target": target})
    await page.close()
