"""One node's whole state, and the checks that several calls share."""

from lab.simulator.answers import CallError
from lab.simulator.background import Background
from lab.simulator.checksum import matches
from lab.simulator.clock import Clock
from lab.simulator.delivery import Delivery
from lab.simulator.end_callbacks import EndCallbacks
from lab.simulator.hooks import Hooks
from lab.simulator.life import Life
from lab.simulator.meetings import Meeting, MeetingTable, Presence, User
from lab.simulator.misbehaviour import Misbehaviour
from lab.simulator.recorder import Recorder
from lab.simulator.recordings.catalogue import Format
from lab.simulator.recordings.tree import Tree
from lab.simulator.request import Call
from lab.simulator.request_log import RequestLog
from lab.simulator.settings import NodeSettings
from lab.simulator.text_tracks import TextTracks


class Node:
    """A simulated node; it shares nothing with other nodes in the same process."""

    def __init__(self, settings: NodeSettings) -> None:
        #: Replaced as a whole when the control API changes a setting.
        self.settings = settings
        self.clock = Clock()
        self.meetings = MeetingTable()
        self.life = Life(lambda: self.settings, self.clock, self.meetings)
        #: (meeting, user) by sessionToken.
        self.sessions: dict[str, tuple[Meeting, User]] = {}
        self.request_log = RequestLog(settings.request_log_length)
        self.misbehaviour = Misbehaviour()
        self.background = Background()
        self.delivery = Delivery()
        self.hooks = Hooks(self.background, self.delivery, self.clock, lambda: self.settings)
        self.tree = Tree(settings.root)
        self.text_tracks = TextTracks(self.tree)
        self.recorder = Recorder(self.background, lambda: self.settings, self.tree)
        #: Waiting callbacks; they are in bbb-web's memory and are lost with it.
        self._callbacks = Background()
        callbacks = EndCallbacks(self._callbacks, self.delivery, lambda: self.settings)
        for listen in (callbacks.on_event, self.hooks.on_event, self.recorder.on_event, self._drop_sessions):
            self.life.listeners.append(listen)

    def signature_is_right(self, call: Call, checksum: str, *, webhooks: bool = False) -> bool:
        """Verify a checksum over the raw query string as bbb-web does or, more strictly, as bbb-webhooks does."""
        profile = self.settings.profile
        if not self.settings.secret:
            return True
        if profile.refuses_repeated_checksum and call.parameters.count("checksum") > 1:
            return False
        if self.misbehaviour.strike(call.name, ("checksum",)):
            return False
        return matches(
            call.name,
            call.query,
            checksum,
            self.settings.secret,
            algorithms=("sha1",) if webhooks and profile.signs_hooks_with_sha1 else self.settings.algorithms,
            any_case=profile.ignores_checksum_case and not webhooks,
        )

    def check_signature(self, call: Call) -> None:
        """Raise checksumError in the words of the calls about meetings (reference 2.4)."""
        checksum = call.parameters.raw("checksum")
        if not checksum and self.settings.secret:
            raise CallError("checksumError", "You must provide the checksum")
        if not self.signature_is_right(call, checksum or ""):
            raise CallError("checksumError", "Checksums do not match")

    def look_up(self, meeting_id: str) -> Meeting | None:
        """Find a meeting as the calls about one meeting do."""
        if self.settings.profile.takes_internal_ids:
            return self.meetings.find(meeting_id)
        return self.meetings.with_external_id(meeting_id)

    def existing(self, meeting_id: str) -> Meeting:
        """Return an existing meeting; raises CallError if there is none."""
        if self.meetings.find(meeting_id) is None:
            raise CallError("notFound", "A meeting with that ID does not exist")
        meeting = self.look_up(meeting_id)
        if meeting is None:
            raise LookupError("BBB 2.5 accepts an internal id in its checks, but then looks up the hash of it")
        return meeting

    def session(self, token: str, cookie: str | None) -> tuple[Meeting, User] | None:
        """Return the meeting and user of a session token.

        None if the token is unknown, the JSESSIONID cookie is another one, or the user never connected and was purged.
        """
        found = self.sessions.get(token)
        if found is None:
            return None
        meeting, user = found
        purged = user.presence is Presence.REGISTERED and user.internal_id not in meeting.users
        allowed = cookie == user.cookie or self.settings.requests_without_session
        return found if allowed and not purged else None

    def notify_recordings(self, event: str, moved: list[Format]) -> None:
        """Send hooks an event for each recording that changed its state."""
        for record_id in dict.fromkeys(each.record_id for each in moved):
            external = next(each.meta().get("meetingId", "") for each in moved if each.record_id == record_id)
            ids = {"internal-meeting-id": record_id, "external-meeting-id": external}
            self.hooks.send(event, external, {"meeting": ids, "record-id": record_id})

    async def close(self) -> None:
        """Stop all background work."""
        self.life.forget()
        await self.background.close()
        await self._callbacks.close()
        await self.delivery.close()

    async def restart(self) -> None:
        """Lose all meetings, users and sessions, as in a restart of bbb-web."""
        self.life.forget()
        self.sessions.clear()
        await self._callbacks.close()

    def _drop_sessions(self, event: str, meeting: Meeting, user: User | None) -> None:
        if event == "ended":
            for token in [token for token, holder in self.sessions.items() if holder[0] is meeting]:
                del self.sessions[token]
