"""Which users must wait in the lobby (reference 10.1)."""

from lab.simulator.request import Parameters
from lab.simulator.settings import NodeSettings

_TRUE = ("true", "1")


def guest_status(settings: NodeSettings, policy: str, role: str, sent: Parameters) -> str:
    """Return ALLOW, WAIT or DENY for a join.

    A join without `guest` counts as authenticated. One with `guest` does not, unless `auth` is true.
    """
    guest = sent.text("guest").lower() in _TRUE
    authenticated = sent.text("auth").lower() in _TRUE if sent.text("auth") else not sent.text("guest")
    if not settings.authenticated_guest:
        return _by_policy_alone(policy) if guest else "ALLOW"
    if role == "MODERATOR" or policy == "ALWAYS_ACCEPT":
        return "ALLOW"
    if policy == "ASK_MODERATOR":
        return "WAIT" if guest or authenticated else "ALLOW"
    if policy == "ALWAYS_ACCEPT_AUTH":
        return "WAIT" if guest else "ALLOW"
    return "DENY"


def _by_policy_alone(policy: str) -> str:
    if policy == "ASK_MODERATOR":
        return "WAIT"
    return "ALLOW" if policy in ("ALWAYS_ACCEPT", "ALWAYS_ACCEPT_AUTH") else "DENY"
