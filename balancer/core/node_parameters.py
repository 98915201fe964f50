"""The parameters that a node gets for a front end's create or join: the only place that adds, changes or refuses any.

Whatever depends on a node's view of a call, such as whether a meeting is recorded, is read from these.
"""

from balancer.core.parameters import Parameters
from balancer.errors import ValidationError

ENDED_URL = "meetingEndedURL"


def for_create(sent: Parameters, *, ended_url: str, limit: int | None) -> Parameters:
    """The front end's parameters as they were sent, and a meetingEndedURL.

    ended_url: the node calls it when the meeting has ended; a front end's own meetingEndedURL takes its place. limit:
    bytes for all parameters. If ended_url does not fit, it is left out, because the next poll finds the end too. Raises
    ValidationError if the front end's parameters alone exceed the limit.
    """
    if limit is not None and (size := len(sent.encode())) > limit:
        raise ValidationError(f"Beside an XML body the parameters are too long: {size} of at most {limit} bytes")
    if sent.text(ENDED_URL):
        return sent
    extended = sent.replaced(ENDED_URL, ended_url)
    return sent if limit is not None and len(extended.encode()) > limit else extended


def for_join(sent: Parameters) -> Parameters:
    """The front end's parameters as they were sent. Raises ValidationError if there is no name: a node would crash."""
    if not sent.text("fullName") and not sent.text("firstName"):
        raise ValidationError("You must provide your name", "missingParamFullName")
    return sent
