"""A node's clock, which can be set wrong."""

import time
from datetime import UTC, datetime
from email.utils import formatdate


class Clock:
    """Wall time plus a skew in seconds. Timers use the monotonic clock instead."""

    def __init__(self) -> None:
        self.skew = 0.0
        #: The Date header's skew in seconds.
        self.header_skew = 0.0

    def milliseconds(self) -> int:
        """Return the epoch time in ms, as BBB prints it."""
        return int((time.time() + self.skew) * 1000)

    def header(self) -> str:
        """Return the time for a Date header."""
        return formatdate(time.time() + self.header_skew, usegmt=True)


def java_date(milliseconds: int) -> str:
    """Write a time as java.util.Date.toString() does, in UTC."""
    moment = datetime.fromtimestamp(milliseconds / 1000, UTC)
    return moment.strftime("%a %b %d %H:%M:%S UTC %Y")
