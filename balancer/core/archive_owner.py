"""Which tenant owns an archive. Its recordID is an internalMeetingID, which two nodes may have given to two tenants.

The spool does not record which node sent an archive. The link in its metadata.xml names the node's host.
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A meeting that an archive may belong to: the recorded one, or a breakout room's parent."""

    tenant_id: int
    meeting_id: str | None  #: None if it is the parent
    host: str | None  #: its node's; None if the node was removed


@dataclass(frozen=True, kw_only=True)
class Owner:
    """The owner of an archive."""

    claim: Claim | None  #: None if it cannot be determined
    disputed: bool  #: whether several tenants have such a meeting

    def may_add_to(self, tenant_id: int | None) -> bool:
        """Whether the archive may be added to the existing recording of its recordID.

        tenant_id: that recording's; None if its tenant was only assumed.
        """
        if self.claim is None or tenant_id is None:
            return not self.disputed
        return self.claim.tenant_id == tenant_id


def decide(claims: Sequence[Claim], host: str | None) -> Owner:
    """The owner by these claims. host: of the node that made the archive, if the archive says so.

    Parents count only if none of the claims is of the recorded meeting itself.
    """
    nearest = [each for each in claims if each.meeting_id is not None] or claims
    if len({each.tenant_id for each in nearest}) < 2:
        return Owner(claim=nearest[0] if nearest else None, disputed=False)
    here = [each for each in nearest if host is not None and each.host == host]
    unique = len({each.tenant_id for each in here}) == 1
    return Owner(claim=here[0] if unique else None, disputed=True)
