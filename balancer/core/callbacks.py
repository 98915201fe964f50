"""Addresses that nodes call back: each carries a token, since BBB signs none of its callbacks (reference: 3.2.7)."""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterable

from balancer.core.tenants import Tenant

#: The hyphen keeps it apart from every shape of a BBB call's path (web.paths).
MEETING_ENDED = "/bigbluebutton/callbacks/meeting-ended"
_PURPOSE = b"meeting ended"


def meeting_ended_url(origin: str, tenant: Tenant, meeting_id: str) -> str:
    """Where a node tells that a tenant's meeting has ended; origin: of the balancer, without a path."""
    named = base64.urlsafe_b64encode(meeting_id.encode()).decode().rstrip("=")
    return f"{origin}{MEETING_ENDED}?token={tenant.id}.{named}.{_mark(tenant.secrets[0], tenant.id, meeting_id)}"


def ended_meeting(tenants: Iterable[Tenant], token: str) -> tuple[Tenant, str] | None:
    """The tenant and the meetingID that a token names; None unless it was made with one of that tenant's secrets."""
    number, _, rest = token.partition(".")
    named, _, mark = rest.partition(".")
    tenant = next((each for each in tenants if str(each.id) == number), None)
    try:
        meeting_id = base64.urlsafe_b64decode(named + "=" * (-len(named) % 4)).decode()
    except (binascii.Error, ValueError):
        return None
    if tenant is None or not mark.isascii():
        return None
    # Meetings run for weeks: a token outlives the rotation of a secret.
    right = [hmac.compare_digest(_mark(secret, tenant.id, meeting_id), mark) for secret in tenant.secrets]
    return (tenant, meeting_id) if any(right) else None


def _mark(secret: str, tenant_id: int, meeting_id: str) -> str:
    told = b"\0".join((_PURPOSE, str(tenant_id).encode(), meeting_id.encode()))
    return hmac.new(secret.encode(), told, hashlib.sha256).hexdigest()
