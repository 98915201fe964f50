-- name: rows_on_node
-- The rows that a poll of a node concerns: live ones, and those lost with the node or by a create without an answer.
SELECT id, tenant_id, meeting_id, state, internal_meeting_id, placed_at, created_at, finished_at, user_joined,
    peak_users
FROM meetings
WHERE node_id = %(node_id)s AND state IN ('creating', 'running')
UNION ALL
SELECT id, tenant_id, meeting_id, state, internal_meeting_id, placed_at, created_at, finished_at, user_joined,
    peak_users
FROM meetings
WHERE node_id = %(node_id)s AND state = 'lost'
    AND (internal_meeting_id = ANY(%(internal_meeting_ids)s)
        OR (created_at IS NULL AND finished_at > now() - interval '1 hour'))
ORDER BY id

-- name: lock_node
-- Before any row of a meeting, as in every transaction.
SELECT admin_state FROM nodes WHERE id = %(id)s FOR SHARE

-- name: lock_node_exclusively
-- Before a left-over meeting is claimed. A create that its node answers with that meeting settles earlier, and the claim
-- sees it, or later, and sees the claim. Stronger than lock_node, and so before it.
SELECT FROM nodes WHERE id = %(id)s FOR NO KEY UPDATE

-- name: lock_rows
-- The rows that a poll may change, in the order in which all transactions lock rows, so that none deadlocks.
SELECT FROM meetings WHERE id = ANY(%(ids)s) ORDER BY id FOR UPDATE

-- name: note_joined
UPDATE meetings SET user_joined = true WHERE id = ANY(%(ids)s) AND NOT user_joined

-- name: note_peaks
-- What later meetings of these rooms may expect.
UPDATE meetings SET peak_users = seen.users
FROM unnest(%(ids)s::bigint[], %(users)s::integer[]) AS seen (id, users)
WHERE meetings.id = seen.id AND meetings.peak_users < seen.users
