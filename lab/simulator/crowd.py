"""Many users without browsers, for tests of load and placement."""

from typing import Any

from lab.simulator.meetings import Meeting, Presence, User
from lab.simulator.node import Node


def as_json(user: User) -> dict[str, object]:
    """Return a user as a JSON object."""
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


def add(node: Node, meeting: Meeting, parameters: dict[str, Any]) -> list[dict[str, object]]:
    """Let `count` users in, with the given `role`, `voice`, `video` and `listening`; return those who fit in."""
    role = str(parameters.get("role", "VIEWER")).upper()
    if role not in ("MODERATOR", "VIEWER"):
        raise ValueError("role must be MODERATOR or VIEWER")
    name = str(parameters.get("name", "User"))
    first = len(meeting.arrivals) + 1
    users = [User(f"{name} {number}", role) for number in range(first, first + int(parameters.get("count", 1)))]
    for user in users:
        user.voice, user.video = bool(parameters.get("voice")), bool(parameters.get("video"))
        user.listening_only = bool(parameters.get("listening"))
    return [as_json(user) for user in users if node.life.enter(meeting, user)]


def remove(node: Node, meeting: Meeting, parameters: dict[str, Any]) -> int:
    """Let the user with `userID`, else the last `count` users, else all users leave; return how many left."""
    online = [user for user in meeting.users.values() if user.presence is Presence.ONLINE]
    if "userID" in parameters:
        leaving = [user for user in online if user.external_id == parameters["userID"]]
    else:
        count = int(parameters.get("count", len(online)))
        leaving = online[len(online) - count :] if count else []
    for user in leaving:
        node.life.leave(meeting, user)
    return len(leaving)
