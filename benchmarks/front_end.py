"""The calls of a front end, signed without the balancer's code."""

import hashlib
from dataclasses import dataclass
from urllib.parse import urlencode

from benchmarks.load import Load, drive


@dataclass(frozen=True)
class FrontEnd:
    """One front end of a balancer."""

    origin: str
    secret: str

    def target(self, call: str, **parameters: object) -> str:
        """Path and signed query of a call."""
        query = urlencode(parameters)
        checksum = hashlib.sha256(f"{call}{query}{self.secret}".encode()).hexdigest()
        return f"/bigbluebutton/api/{call}?{query}{'&' if query else ''}checksum={checksum}"

    def create(self, meeting_id: str) -> str:
        """A create as Moodle sends it."""
        return self.target(
            "create",
            meetingID=meeting_id,
            name=f"Room {meeting_id}",
            attendeePW="attendee",
            moderatorPW="moderator",
            record="true",
            meetingExpireIfNoUserJoinedInMinutes=120,  # BBB's default of 5 is shorter than some benchmarks
            logoutURL="https://moodle.example/mod/bigbluebuttonbn/view.php?id=4711",
            welcome="Welcome to <b>%%CONFNAME%%</b>!",
            **{"meta_bbb-origin": "Moodle", "meta_bbb-context": "Course A", "meta_bbb-recording-name": "Lecture 7"},
        )

    def join(self, meeting_id: str, number: int) -> str:
        """A user's join."""
        return self.target(
            "join",
            fullName=f"User {number}",
            meetingID=meeting_id,
            password="attendee",
            userID=f"user-{number}",
            **{"userdata-bbb_custom_language": "de"},
        )

    def make_meetings(self, count: int, prefix: str = "room") -> list[str]:
        """Create meetings and return their ids."""
        ids = [f"{prefix}-{number}" for number in range(count)]
        drive(Load(self.origin, [self.create(each) for each in ids], connections=8))
        return ids
