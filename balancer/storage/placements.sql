-- name: running
-- Every running meeting that can be joined; the columns are storage.placements.Running's, in its order.
SELECT tenant_id, meeting_id, id, node_id, internal_meeting_id
FROM meetings
WHERE state = 'running' AND node_id IS NOT NULL;
