-- name: lock_node
-- Before any row of a meeting, as in every transaction. Its admin state cannot change until the transaction ends.
SELECT admin_state FROM nodes WHERE id = %(id)s FOR SHARE;

-- name: lock_rows
-- The rows that settle may change, in the order in which all transactions lock rows, so that none deadlocks.
SELECT FROM meetings
WHERE id = %(id)s
    OR (internal_meeting_id = %(internal_meeting_id)s
        AND (node_id = %(node_id)s
            OR (node_id IS NULL AND (tenant_id <> %(tenant_id)s OR created_at IS NULL))))
ORDER BY id
FOR UPDATE;

-- name: row
-- A row as it is now, locked until the transaction ends.
SELECT id, tenant_id, meeting_id, state, internal_meeting_id, create_time, created_at IS NOT NULL AS handed_out
FROM meetings
WHERE id = %(id)s
FOR UPDATE;

-- name: namesake
-- The other row that the node's meeting already belongs to, whatever its state. The node counts, because BBB derives
-- the internalMeetingID from the meetingID and the time alone, so that two nodes may use the same one. A removed node
-- may be this one, registered again: its rows count if they are another tenant's or if a poll is about to end the
-- meeting as left over.
SELECT id, tenant_id, meeting_id, state, internal_meeting_id, create_time, created_at IS NOT NULL AS handed_out
FROM meetings
WHERE internal_meeting_id = %(internal_meeting_id)s AND id <> %(id)s
    AND (node_id = %(node_id)s OR (node_id IS NULL AND (tenant_id <> %(tenant_id)s OR created_at IS NULL)))
ORDER BY id DESC
LIMIT 1
FOR UPDATE;
