"""Users without browsers, many at once, for tests of load and placement."""

from typing import Any

from lab.simulator.meetings import Meeting, Presence, User
from lab.simulator.node import Node


def described(user: User) -> dict[str, object]:
    """Return a user for JSON."""
    return {
        "userID": user.external_id,
        "internalUserID": user.internal_id,
        "name": user.name,
        "role": user.role,
        "presence": user.presence.value,
        "guestStatus": user.guest_status,
        "presenter": user.presenter,
        "voice": user.voice,
        "video": user.video,
        "listening": user.listening_only,
    }


def add(node: Node, meeting: Meeting, wish: dict[str, Any]) -> list[dict[str, object]]:
    """Let `count` users in, as `role`, with `voice`, `video`, `listening` as said; returns those who fit."""
    role = str(wish.get("role", "VIEWER")).upper()
    if role not in ("MODERATOR", "VIEWER"):
        raise ValueError("role must be MODERATOR or VIEWER")
    name = str(wish.get("name", "User"))
    first = len(meeting.arrivals) + 1
    users = [User(f"{name} {number}", role) for number in range(first, first + int(wish.get("count", 1)))]
    for user in users:
        user.voice, user.video = bool(wish.get("voice")), bool(wish.get("video"))
        user.listening_only = bool(wish.get("listening"))
    return [described(user) for user in users if node.life.come(meeting, user)]


def remove(node: Node, meeting: Meeting, wish: dict[str, Any]) -> int:
    """Let users leave: the one with `userID`, else the last `count`, else all; returns how many left."""
    online = [user for user in meeting.users.values() if user.presence is Presence.ONLINE]
    if "userID" in wish:
        leaving = [user for user in online if user.external_id == wish["userID"]]
    else:
        count = int(wish.get("count", len(online)))
        leaving = online[len(online) - count :] if count else []
    for user in leaving:
        node.life.leave(meeting, user)
    return len(leaving)
