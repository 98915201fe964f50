-- name: unreachable
-- How many of the nodes that should be in service are unreachable.
SELECT count(*) FILTER (WHERE o.state = 'unreachable') AS unreachable, count(*) AS nodes
FROM nodes AS n
LEFT JOIN node_observations AS o ON o.node_id = n.id
WHERE n.admin_state <> 'disabled';

-- name: running
-- Where a meeting is running. BBB accepts the internalMeetingID as a meetingID too.
SELECT id, meeting_id, node_id, internal_meeting_id
FROM meetings
WHERE tenant_id = %(tenant_id)s AND state = 'running' AND node_id IS NOT NULL
    AND (meeting_id = %(meeting_id)s OR internal_meeting_id = %(meeting_id)s)
ORDER BY meeting_id <> %(meeting_id)s
LIMIT 1;

-- name: of_tenant
-- A tenant's running meetings, for getMeetings, except for those whose node accepted an end a moment ago. One that is
-- still running after that was not ended after all. The columns are core.meeting_list.TenantMeeting's, in its order.
SELECT
    node_id, meeting_id, internal_meeting_id, extract(epoch FROM created_at)::float8 AS created_at, create_time, recorded
FROM meetings
WHERE tenant_id = %(tenant_id)s AND state = 'running' AND node_id IS NOT NULL
    AND (end_requested_at > clock_timestamp() - interval '2 minutes') IS NOT TRUE
ORDER BY id;

-- name: all_running
-- Every running meeting that can be joined; the columns are storage.redis.whereabouts.LocatedMeeting's, in its order.
SELECT tenant_id, meeting_id, id, node_id, internal_meeting_id
FROM meetings
WHERE state = 'running' AND node_id IS NOT NULL;

-- name: names
SELECT tenant_id, meeting_id FROM meetings WHERE id = %(id)s;
