"""What a node is sent for a front end's create or join: the one place where parameters are added, changed or refused.

What a node makes of a call follows from these: whether a meeting is recorded, say, is read from them.
"""

from balancer.core.parameters import Parameters
from balancer.errors import ValidationError

ENDED_URL = "meetingEndedURL"


def for_create(sent: Parameters, *, ended_url: str, limit: int | None) -> Parameters:
    """The front end's own parameters as they were sent, and a meetingEndedURL.

    ended_url: where the node tells that the meeting has ended, unless the front end wants to be told itself. limit:
    bytes that all of them may take; without room nothing is added, since the next poll finds out as well. Raises
    ValidationError where the front end's own take more.
    """
    if limit is not None and (size := len(sent.encode())) > limit:
        raise ValidationError(f"Beside an XML body the parameters are too long: {size} of at most {limit} bytes")
    if sent.text(ENDED_URL):
        return sent
    given = sent.replaced(ENDED_URL, ended_url)
    return sent if limit is not None and len(given.encode()) > limit else given


def for_join(sent: Parameters) -> Parameters:
    """The front end's own parameters as they were sent. Raises ValidationError without a name: a node would break."""
    if not sent.text("fullName") and not sent.text("firstName"):
        raise ValidationError("You must provide your name", "missingParamFullName")
    return sent
