"""How a meeting that was created a moment ago is listed, until its node's next poll tells more."""

from collections.abc import Sequence
from typing import cast

from balancer.storage import keys
from balancer.storage.cache import Redis, unavailable_as_ours

#: Seconds: many polls' worth, should nobody poll for a while.
_LIFE = 600


class YoungMeetings:
    """Every method raises StorageUnavailableError where Redis cannot be used."""

    def __init__(self, client: Redis) -> None:
        self._client = client

    def note(self, tenant_id: int, internal_meeting_id: str, xml: str) -> None:
        """xml: its ``<meeting>`` element."""
        with unavailable_as_ours():
            self._client.set(keys.young_meeting(tenant_id, internal_meeting_id), xml, ex=_LIFE)

    def find(self, tenant_id: int, internal_meeting_ids: Sequence[str]) -> dict[str, str]:
        """The elements of a tenant's that are known, by internalMeetingID."""
        if not internal_meeting_ids:
            return {}
        with unavailable_as_ours():
            names = [keys.young_meeting(tenant_id, each) for each in internal_meeting_ids]
            found = cast(list[str | None], self._client.mget(names))
        return {name: text for name, text in zip(internal_meeting_ids, found, strict=True) if text is not None}
