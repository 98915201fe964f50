-- name: all
-- Every registered node, by name.
SELECT id, name, url, secret, admin_state, weight, tags, soft_meetings, hard_meetings, soft_users, hard_users
FROM nodes
ORDER BY name

-- name: changes
-- When each node's declaration or admin state was last changed.
SELECT id, changed_at FROM nodes

-- name: by_name
SELECT id, name, url, secret, admin_state, weight, tags, soft_meetings, hard_meetings, soft_users, hard_users
FROM nodes
WHERE name = %(name)s

-- name: add
-- Returns no row if the name or the URL is already registered.
INSERT INTO nodes (name, url, secret, admin_state, weight, tags, soft_meetings, hard_meetings, soft_users, hard_users)
VALUES (
    %(name)s, %(url)s, %(secret)s, %(admin_state)s, %(weight)s, %(tags)s,
    %(soft_meetings)s, %(hard_meetings)s, %(soft_users)s, %(hard_users)s
)
ON CONFLICT DO NOTHING
RETURNING id, name, url, secret, admin_state, weight, tags, soft_meetings, hard_meetings, soft_users, hard_users

-- name: change
-- Sets what the inventory declares; the admin state stays.
UPDATE nodes
SET url = %(url)s, secret = %(secret)s, weight = %(weight)s, tags = %(tags)s,
    soft_meetings = %(soft_meetings)s, hard_meetings = %(hard_meetings)s,
    soft_users = %(soft_users)s, hard_users = %(hard_users)s,
    changed_at = now()
WHERE id = %(id)s
RETURNING id, name, url, secret, admin_state, weight, tags, soft_meetings, hard_meetings, soft_users, hard_users

-- name: set_admin_state
UPDATE nodes
SET admin_state = %(admin_state)s, changed_at = now()
WHERE name = %(name)s
RETURNING id, name, url, secret, admin_state, weight, tags, soft_meetings, hard_meetings, soft_users, hard_users

-- name: remove
DELETE FROM nodes WHERE id = %(id)s

-- name: observations
SELECT node_id, state, reason, since, bbb_version, digests, fencing FROM node_observations

-- name: observe
-- An older holder of the poller's lease never overwrites what a newer one wrote. "since" changes only with the state. If
-- the node is being removed, nothing is written.
INSERT INTO node_observations AS known (node_id, state, reason, since, bbb_version, digests, fencing)
SELECT id, %(state)s, %(reason)s, now(), %(bbb_version)s, %(digests)s, %(fencing)s FROM nodes WHERE id = %(node_id)s
FOR KEY SHARE
ON CONFLICT (node_id) DO UPDATE
SET state = excluded.state,
    reason = excluded.reason,
    since = CASE WHEN known.state = excluded.state THEN known.since ELSE excluded.since END,
    bbb_version = excluded.bbb_version,
    digests = excluded.digests,
    fencing = excluded.fencing
WHERE known.fencing <= excluded.fencing
RETURNING node_id, state, reason, since, bbb_version, digests, fencing
