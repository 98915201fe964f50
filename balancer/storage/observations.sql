-- name: all
SELECT node_id, state, reason, since, bbb_version, fencing FROM node_observations

-- name: put
-- A poller that lost its lease writes nothing any more; a node removed meanwhile has no observation.
INSERT INTO node_observations (node_id, state, reason, since, bbb_version, fencing)
SELECT id, %(state)s, %(reason)s, %(since)s, %(bbb_version)s, %(fencing)s FROM nodes WHERE id = %(node_id)s
ON CONFLICT (node_id) DO UPDATE SET
    state = excluded.state, reason = excluded.reason, since = excluded.since,
    bbb_version = excluded.bbb_version, fencing = excluded.fencing
WHERE node_observations.fencing <= excluded.fencing

-- name: now
SELECT clock_timestamp() AS now
