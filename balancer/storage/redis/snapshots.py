"""What nodes said last, in Redis: small figures for placement, and apart from them the XML for getMeetings."""

import json
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Any, cast

from balancer.core.listing import Part
from balancer.core.nodes import Snapshot
from balancer.storage.redis import keys
from balancer.storage.redis.client import Redis, unavailable_as_ours

# A poller that lost its lease may still be writing: its lower fencing number, or under one number an earlier poll,
# never overwrites what is there. Microseconds since 1970 and fencing numbers both fit into Lua's 53 bits.
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
    """The snapshots of all nodes. Every method raises StorageUnavailableError where Redis cannot be used."""

    def __init__(self, client: Redis) -> None:
        self._client = client
        self._write = client.register_script(_WRITE)
        #: What ``xml`` read last, by node id, behind its poll's order: until the next poll the list stays the same.
        self._read: Mapping[int, tuple[str, Part]] = {}

    def write(self, snapshot: Snapshot, xml: Mapping[str, str]) -> bool:
        """Store what a poll found; xml: ``<meeting>`` elements by internalMeetingID.

        False where a newer lease holder, or a later poll, has already written.
        """
        started = round(snapshot.poll_started.timestamp() * 1_000_000)
        blob = json.dumps({"poll_started": snapshot.poll_started.isoformat(), "meetings": dict(xml)})
        with unavailable_as_ours():
            written = self._write(
                keys=[keys.SNAPSHOTS, keys.SNAPSHOT_XML, keys.SNAPSHOT_ORDER],
                args=[snapshot.node_id, snapshot.fencing, started, _encode(snapshot), blob],
            )
        return bool(written)

    def all(self) -> dict[int, Snapshot]:
        """Every node's last snapshot, by node id, however old: ask ``Snapshot.fresh``."""
        with unavailable_as_ours():
            found = cast(dict[str, str], self._client.hgetall(keys.SNAPSHOTS))
        return {int(node_id): _decode(text) for node_id, text in found.items()}

    def xml(self, node_ids: Collection[int]) -> dict[int, Part]:
        """What these nodes listed; a node without a snapshot is absent."""
        before = self._read
        with unavailable_as_ours():
            told = self._told(keys.SNAPSHOT_ORDER, node_ids)
            now = {each: before[each] for each, order in told.items() if before.get(each, ("",))[0] == order}
            # Where a poll came between, its list stands here with the order of the last, and is read once more.
            for node_id, text in self._told(keys.SNAPSHOT_XML, told.keys() - now.keys()).items():
                now[node_id] = told[node_id], _decode_xml(text)
        self._read = now
        return {node_id: part for node_id, (_, part) in now.items()}

    def _told(self, key: str, node_ids: Collection[int]) -> dict[int, str]:
        """What a hash holds of these nodes."""
        if not node_ids:
            return {}
        found = cast(list[str | None], self._client.hmget(key, [str(node_id) for node_id in node_ids]))
        return {node_id: text for node_id, text in zip(node_ids, found, strict=True) if text is not None}

    def keep_only(self, node_ids: Collection[int]) -> None:
        """Drop what belongs to nodes that are no longer registered."""
        kept = {str(node_id) for node_id in node_ids}
        with unavailable_as_ours():
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
