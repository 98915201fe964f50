"""Whose an archive is. Its recordID is its meeting's internalMeetingID, which two nodes may have given to two tenants.

The spool does not tell which node an archive comes from; the link in its metadata.xml names the node's host.
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A meeting that an archive may be of: its own, or a breakout room's parent."""

    tenant_id: int
    meeting_id: str | None  #: None where it is the parent
    host: str | None  #: its node's; None where the node was removed


@dataclass(frozen=True, kw_only=True)
class Owner:
    """Whose it is."""

    claim: Claim | None  #: None: nobody can tell
    disputed: bool  #: several tenants have such a meeting

    def may_add_to(self, tenant_id: int | None) -> bool:
        """Whether it is of the recording of its recordID that is there; None: whose that is is only assumed."""
        if self.claim is None or tenant_id is None:
            return not self.disputed
        return self.claim.tenant_id == tenant_id


def decide(claims: Sequence[Claim], host: str | None) -> Owner:
    """The claim that holds; host: of the node that made the archive, where it says so.

    Parents count only where no meeting is the archive's own.
    """
    nearest = [each for each in claims if each.meeting_id is not None] or claims
    if len({each.tenant_id for each in nearest}) < 2:
        return Owner(claim=nearest[0] if nearest else None, disputed=False)
    here = [each for each in nearest if host is not None and each.host == host]
    told = len({each.tenant_id for each in here}) == 1
    return Owner(claim=here[0] if told else None, disputed=True)
