"""One node's whole state, and what several calls need of it."""

from lab.simulator.answers import CallError
from lab.simulator.checksum import matches
from lab.simulator.clock import Clock
from lab.simulator.journal import Journal
from lab.simulator.life import Life
from lab.simulator.meetings import Meeting, MeetingTable, User
from lab.simulator.misbehaviour import Misbehaviour
from lab.simulator.request import Call
from lab.simulator.settings import NodeSettings


class Node:
    """A simulated node; nothing in it is shared with another in the same process."""

    def __init__(self, settings: NodeSettings) -> None:
        #: Replaced as a whole when the control API changes a timer.
        self.settings = settings
        self.clock = Clock()
        self.meetings = MeetingTable()
        self.life = Life(lambda: self.settings, self.clock, self.meetings)
        #: sessionToken -> who joined with it.
        self.sessions: dict[str, tuple[Meeting, User]] = {}
        self.journal = Journal(settings.journal_length)
        self.misbehaviour = Misbehaviour()
        self.life.listeners.append(self._drop_sessions)

    def signature_is_right(self, call: Call, checksum: str) -> bool:
        """Verify a checksum over the raw query string."""
        if not self.settings.secret:
            return True
        if self.settings.profile.refuses_repeated_checksum and call.parameters.count("checksum") > 1:
            return False
        if self.misbehaviour.strike(call.name, ("checksum",)):
            return False
        return matches(
            call.name,
            call.query,
            checksum,
            self.settings.secret,
            algorithms=self.settings.algorithms,
            any_case=self.settings.profile.ignores_checksum_case,
        )

    def check_signature(self, call: Call) -> None:
        """Raise checksumError as the calls about meetings word it (reference 2.4)."""
        checksum = call.parameters.raw("checksum")
        if not checksum and self.settings.secret:
            raise CallError("checksumError", "You must provide the checksum")
        if not self.signature_is_right(call, checksum or ""):
            raise CallError("checksumError", "Checksums do not match")

    def find_session(self, token: str) -> tuple[Meeting, User] | None:
        """Return who holds a session token, unless the user was purged meanwhile."""
        found = self.sessions.get(token)
        if found is None or found[1].internal_id not in found[0].users:
            return None
        return found

    def restart(self) -> None:
        """Forget all meetings, users and sessions, as a restart of bbb-web does."""
        self.life.forget()
        self.sessions.clear()

    def _drop_sessions(self, event: str, meeting: Meeting, user: User | None) -> None:
        if event == "ended":
            for member in meeting.users.values():
                self.sessions.pop(member.session_token, None)
