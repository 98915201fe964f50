"""bbb-webhooks of one node: registrations and deliveries (reference 3.14, 8.1)."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from typing import Any
from urllib.parse import urlencode, urlsplit

from lab.simulator.background import Background
from lab.simulator.clock import Clock, java_date
from lab.simulator.delivery import Delivery
from lab.simulator.meetings import Meeting, User
from lab.simulator.settings import NodeSettings

#: Seconds before each attempt.
_DELAYS = (0.0, 0.1, 0.5, 1, 2, 4, 8, 10, 30, 60, 60, 60, 60)
_NAMES = {
    "created": "meeting-created",
    "ended": "meeting-ended",
    "joined": "user-joined",
    "left": "user-left",
    "recording-started": "meeting-recording-started",
    "recording-stopped": "meeting-recording-stopped",
}


@dataclass(frozen=True, slots=True)
class Hook:
    """One registration; without a meeting it covers all."""

    number: int
    url: str
    meeting_id: str
    events: tuple[str, ...]
    raw: bool


class Hooks:
    """The registrations. They survive a restart of bbb-web, because bbb-webhooks keeps them in Redis."""

    def __init__(
        self, background: Background, delivery: Delivery, clock: Clock, settings: Callable[[], NodeSettings]
    ) -> None:
        self._background, self._delivery, self._clock, self._settings = background, delivery, clock, settings
        self._numbers = count(1)
        self._hooks: dict[int, Hook] = {}

    def add(self, url: str, meeting_id: str, events: tuple[str, ...], *, raw: bool) -> tuple[Hook, bool]:
        """Register and return (registration, False), or (the existing one, True)."""
        for hook in self._hooks.values():
            if (hook.url, hook.meeting_id) == (url, meeting_id):
                return hook, True
        hook = Hook(next(self._numbers), url, meeting_id, events, raw)
        self._hooks[hook.number] = hook
        return hook, False

    def remove(self, number: int) -> bool:
        """Remove a registration; False if there is none."""
        return self._hooks.pop(number, None) is not None

    def list(self, meeting_id: str | None) -> list[Hook]:
        """Return all registrations, or the global ones and those of a meeting."""
        return [hook for hook in self._hooks.values() if meeting_id is None or hook.meeting_id in ("", meeting_id)]

    def on_event(self, event: str, meeting: Meeting, user: User | None) -> None:
        """Handle an event of a node's meetings."""
        if event in _NAMES and self._hooks:
            attributes: dict[str, Any] = {"meeting": _meeting(meeting, whole=event == "created")}
            if user is not None:
                attributes["user"] = _user(user)
            self.send(_NAMES[event], meeting.meeting_id, attributes)

    def send(self, name: str, meeting_id: str, attributes: dict[str, Any]) -> None:
        """Deliver an event to every registration that includes it."""
        moment = self._clock.milliseconds()
        data = {"type": "event", "id": name, "attributes": attributes, "event": {"ts": moment}}
        for hook in self.list(meeting_id):
            if not hook.events or name in hook.events:
                self._background.spawn(self._deliver(hook, {"data": data}, moment))

    async def _deliver(self, hook: Hook, event: dict[str, Any], moment: int) -> None:
        domain = urlsplit(self._settings().server_url).hostname or ""
        body = {"domain": domain, "event": json.dumps([event], separators=(",", ":")), "timestamp": str(moment)}
        form = urlencode(body)
        signed = hook.url + form + self._settings().secret
        checksum = hashlib.sha1(signed.encode(), usedforsecurity=False).hexdigest()
        url = f"{hook.url}{'&' if '?' in hook.url else '?'}checksum={checksum}"
        await self._delivery.post(url, form, _DELAYS)


def _meeting(meeting: Meeting, *, whole: bool) -> dict[str, Any]:
    ids = {"internal-meeting-id": meeting.internal_id, "external-meeting-id": meeting.meeting_id}
    if not whole:
        return ids
    return ids | {
        "name": meeting.name,
        "is-breakout": meeting.is_breakout,
        "parent-id": meeting.parent_id,
        "duration": meeting.duration,
        "create-time": meeting.create_time,
        "create-date": java_date(meeting.create_time),
        "moderator-pass": meeting.moderator_password,
        "viewer-pass": meeting.attendee_password,
        "record": meeting.record,
        "voice-conf": meeting.voice_bridge,
        "dial-number": meeting.dial_number,
        "max-users": meeting.max_users,
        "metadata": meeting.metadata,
    }


def _user(user: User) -> dict[str, Any]:
    return {
        "internal-user-id": user.internal_id,
        "external-user-id": user.external_id,
        "name": user.name,
        "role": user.role,
        "presenter": user.presenter,
    }
