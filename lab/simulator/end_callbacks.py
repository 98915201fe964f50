"""The callbacks of a node when a meeting ends (reference 3.2.7)."""

from collections.abc import Callable
from urllib.parse import quote_plus

from lab.simulator.background import Background
from lab.simulator.delivery import Delivery
from lab.simulator.meetings import Meeting, User
from lab.simulator.settings import NodeSettings


class EndCallbacks:
    """Calls meta_endCallbackUrl and meetingEndedURL, except for breakouts."""

    def __init__(self, background: Background, delivery: Delivery, settings: Callable[[], NodeSettings]) -> None:
        self._background, self._delivery, self._settings = background, delivery, settings

    def on_event(self, event: str, meeting: Meeting, user: User | None) -> None:
        """Handle an event of a node's meetings."""
        if event != "ended" or meeting.is_breakout:
            return
        delays = self._settings().callback_delays
        if url := meeting.metadata.get("endcallbackurl"):
            marks = str(any(on for _, on in meeting.record_marks)).lower()
            query = f"recordingmarks={marks}&meetingID={quote_plus(meeting.meeting_id)}"
            joined = f"{url}{'&' if '?' in url else '?'}{query}"
            self._background.spawn(self._delivery.get(joined, delays))
        if meeting.ended_url:
            self._background.spawn(self._delivery.get(meeting.ended_url, delays))
