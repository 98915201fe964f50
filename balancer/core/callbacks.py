"""Callback addresses for nodes. Each has a token, because BBB does not sign its meetingEndedURL callback."""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterable

from balancer.core.tenants import Tenant

#: The hyphen keeps it distinct from every shape of a BBB call's path (web.canonical_paths).
MEETING_ENDED = "/bigbluebutton/callbacks/meeting-ended"
_PURPOSE = b"meeting ended"


def meeting_ended_url(origin: str, tenant: Tenant, meeting_id: str) -> str:
    """The address at which a node reports the end of a tenant's meeting. origin: the balancer's, without a path."""
    named = base64.urlsafe_b64encode(meeting_id.encode()).decode().rstrip("=")
    return f"{origin}{MEETING_ENDED}?token={tenant.id}.{named}.{_mark(tenant.secrets[0], tenant.id, meeting_id)}"


def ended_meeting(tenants: Iterable[Tenant], token: str) -> tuple[Tenant, str] | None:
    """The tenant and the meetingID of a token; None unless it was made with one of that tenant's secrets."""
    number, _, rest = token.partition(".")
    named, _, mark = rest.partition(".")
    tenant = next((each for each in tenants if str(each.id) == number), None)
    try:
        meeting_id = base64.urlsafe_b64decode(named + "=" * (-len(named) % 4)).decode()
    except (binascii.Error, ValueError):
        return None
    if tenant is None or not mark.isascii():
        return None
    # Any of the secrets, because meetings run for weeks and a token outlives the rotation of a secret.
    right = [hmac.compare_digest(_mark(secret, tenant.id, meeting_id), mark) for secret in tenant.secrets]
    return (tenant, meeting_id) if any(right) else None


def _mark(secret: str, tenant_id: int, meeting_id: str) -> str:
    message = b"\0".join((_PURPOSE, str(tenant_id).encode(), meeting_id.encode()))
    return hmac.new(secret.encode(), message, hashlib.sha256).hexdigest()
