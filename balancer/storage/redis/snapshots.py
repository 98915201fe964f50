"""The nodes' last poll results, in Redis: small figures for placement, and separately the XML for getMeetings."""

import json
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Any, cast

from balancer.core.meeting_list import Part
from balancer.core.nodes import Snapshot
from balancer.storage.redis import keys
from balancer.storage.redis.client import Redis

# A poller that lost its lease may still be writing. A lower fencing number never overwrites a higher one; with equal
# numbers, an earlier poll never overwrites a later one. Microseconds since 1970 and fencing numbers fit into the 53
# bits of a Lua number.
_WRITE = """
local fencing, started = string.match(redis.call('HGET', KEYS[3], ARGV[1]) or '', '^(%d+) (%d+)$')
if fencing then
  local there, ours = tonumber(fencing), tonumber(ARGV[2])
  if there > ours or (there == ours and tonumber(started) > tonumber(ARGV[3])) then return 0 end
end
redis.call('HSET', KEYS[3], ARGV[1], ARGV[2] .. ' ' .. ARGV[3])
redis.call('HSET', KEYS[1], ARGV[1], ARGV[4])
redis.call('HSET', KEYS[2], ARGV[1], ARGV[5])
return 1
"""


class Snapshots:
    """The snapshots of all nodes. Every method raises StorageUnavailableError if Redis cannot be used."""

    def __init__(self, client: Redis) -> None:
        self._client = client
        self._write = client.register_script(_WRITE)
        #: What ``xml`` read last, by node id, with the order of its poll: the list is the same until the next poll.
        self._parts: Mapping[int, tuple[str, Part]] = {}

    def write(self, snapshot: Snapshot, xml: Mapping[str, str]) -> bool:
        """Store a poll's result; xml: ``<meeting>`` elements by internalMeetingID.

        Returns False if a newer lease holder, or a later poll, has already written.
        """
        started = round(snapshot.poll_started.timestamp() * 1_000_000)
        blob = json.dumps({"poll_started": snapshot.poll_started.isoformat(), "meetings": dict(xml)})
        with self._client.guarded():
            written = self._write(
                keys=[keys.SNAPSHOTS, keys.SNAPSHOT_XML, keys.SNAPSHOT_ORDER],
                args=[snapshot.node_id, snapshot.fencing, started, _encode(snapshot), blob],
            )
        return bool(written)

    def all(self) -> dict[int, Snapshot]:
        """Every node's last snapshot, by node id, however old it is (see ``Snapshot.fresh``)."""
        with self._client.guarded():
            texts = cast(dict[str, str], self._client.hgetall(keys.SNAPSHOTS))
        return {int(node_id): _decode(text) for node_id, text in texts.items()}

    def xml(self, node_ids: Collection[int]) -> dict[int, Part]:
        """The meetings that these nodes listed at their last poll; a node without a snapshot is absent."""
        before = self._parts
        with self._client.guarded():
            orders = self._fields(keys.SNAPSHOT_ORDER, node_ids)
            now = {each: before[each] for each, order in orders.items() if before.get(each, ("",))[0] == order}
            # If a poll writes in between, its list is kept under the previous order, and is read again next time.
            for node_id, text in self._fields(keys.SNAPSHOT_XML, orders.keys() - now.keys()).items():
                now[node_id] = orders[node_id], _decode_xml(text)
        self._parts = now
        return {node_id: part for node_id, (_, part) in now.items()}

    def _fields(self, key: str, node_ids: Collection[int]) -> dict[int, str]:
        """A hash's values for these nodes."""
        if not node_ids:
            return {}
        texts = cast(list[str | None], self._client.hmget(key, [str(node_id) for node_id in node_ids]))
        return {node_id: text for node_id, text in zip(node_ids, texts, strict=True) if text is not None}

    def keep_only(self, node_ids: Collection[int]) -> None:
        """Drop the snapshots of all other nodes, which are no longer registered."""
        kept = {str(node_id) for node_id in node_ids}
        with self._client.guarded():
            gone = [field for field in cast(list[str], self._client.hkeys(keys.SNAPSHOT_ORDER)) if field not in kept]
            if gone:
                for key in (keys.SNAPSHOTS, keys.SNAPSHOT_XML, keys.SNAPSHOT_ORDER):
                    self._client.hdel(key, *gone)


def _encode(snapshot: Snapshot) -> str:
    fields: dict[str, Any] = {
        "node_id": snapshot.node_id,
        "fencing": snapshot.fencing,
        "poll_started": snapshot.poll_started.isoformat(),
        "polled": snapshot.polled.isoformat(),
        "users": snapshot.users,
        "video": snapshot.video,
        "participants": dict(snapshot.participants),
        "bbb_version": snapshot.bbb_version,
    }
    return json.dumps(fields, separators=(",", ":"))


def _decode(text: str) -> Snapshot:
    fields: dict[str, Any] = json.loads(text)
    for name in ("poll_started", "polled"):
        fields[name] = datetime.fromisoformat(fields[name]).astimezone(UTC)
    return Snapshot(**fields)


def _decode_xml(text: str) -> Part:
    fields: dict[str, Any] = json.loads(text)
    return Part(datetime.fromisoformat(fields["poll_started"]).astimezone(UTC), fields["meetings"])
