-- name: all
-- Every registered node, in the order of its name.
SELECT id, name, url, secret, admin_state, weight, tags, soft_meetings, hard_meetings, soft_users, hard_users
FROM nodes
ORDER BY name;

-- name: changes
-- When each was last changed, by its declaration or an operator.
SELECT id, changed_at FROM nodes;

-- name: by_name
SELECT id, name, url, secret, admin_state, weight, tags, soft_meetings, hard_meetings, soft_users, hard_users
FROM nodes
WHERE name = %(name)s;

-- name: add
-- Nothing comes back where the name or the URL is known.
INSERT INTO nodes (name, url, secret, admin_state, weight, tags, soft_meetings, hard_meetings, soft_users, hard_users)
VALUES (
    %(name)s, %(url)s, %(secret)s, %(admin_state)s, %(weight)s, %(tags)s,
    %(soft_meetings)s, %(hard_meetings)s, %(soft_users)s, %(hard_users)s
)
ON CONFLICT DO NOTHING
RETURNING id, name, url, secret, admin_state, weight, tags, soft_meetings, hard_meetings, soft_users, hard_users;

-- name: change
-- What the inventory declares; the operator's state is left alone.
UPDATE nodes
SET url = %(url)s, secret = %(secret)s, weight = %(weight)s, tags = %(tags)s,
    soft_meetings = %(soft_meetings)s, hard_meetings = %(hard_meetings)s,
    soft_users = %(soft_users)s, hard_users = %(hard_users)s,
    changed_at = now()
WHERE id = %(id)s
RETURNING id, name, url, secret, admin_state, weight, tags, soft_meetings, hard_meetings, soft_users, hard_users;

-- name: set_admin_state
UPDATE nodes
SET admin_state = %(admin_state)s, changed_at = now()
WHERE name = %(name)s
RETURNING id, name, url, secret, admin_state, weight, tags, soft_meetings, hard_meetings, soft_users, hard_users;

-- name: remove
DELETE FROM nodes WHERE id = %(id)s;

-- name: observations
SELECT node_id, state, reason, since, bbb_version, digests, fencing FROM node_observations;

-- name: observe
-- An older holder of the poller's lease never overwrites a newer one's word; "since" moves only with the state. Of a node
-- that is being removed nothing is written.
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
RETURNING node_id, state, reason, since, bbb_version, digests, fencing;
