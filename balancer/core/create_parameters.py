"""What a node is sent for a front end's create: the one place where parameters are added or changed."""

from balancer.core.parameters import Parameters

ENDED_URL = "meetingEndedURL"


def prepared(sent: Parameters, *, ended_url: str, limit: int | None) -> Parameters:
    """The parameters for the node, of which the front end's own stay as they were sent.

    ended_url: where the node tells that the meeting has ended, unless the front end wants to be told itself. limit:
    bytes that all of them may take; without room nothing is added, since the next poll finds out as well.
    """
    if sent.text(ENDED_URL):
        return sent
    given = sent.replaced(ENDED_URL, ended_url)
    return sent if limit is not None and len(given.encode()) > limit else given
