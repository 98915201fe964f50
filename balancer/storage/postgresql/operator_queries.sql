-- name: live
-- Live meetings, of one node or of all, oldest first.
SELECT meetings.id, tenants.name AS tenant, meetings.meeting_id, meetings.node_id, meetings.node_name AS node,
    meetings.state, meetings.internal_meeting_id, meetings.create_time, meetings.placed_at, meetings.user_joined,
    meetings.recorded, meetings.tenant_id
FROM meetings JOIN tenants ON tenants.id = meetings.tenant_id
WHERE meetings.state IN ('creating', 'running') AND (%(node_id)s::bigint IS NULL OR meetings.node_id = %(node_id)s)
ORDER BY meetings.id

-- name: history
-- Every row of a meetingID or an internalMeetingID, newest first.
SELECT meetings.id, tenants.name AS tenant, meetings.meeting_id, meetings.node_id, meetings.node_name AS node,
    meetings.state, meetings.internal_meeting_id, meetings.create_time, meetings.placed_at, meetings.created_at,
    meetings.finished_at, meetings.user_joined, meetings.recorded
FROM meetings JOIN tenants ON tenants.id = meetings.tenant_id
WHERE meetings.id IN (
    SELECT id FROM meetings WHERE meeting_id = %(id)s
    UNION
    SELECT id FROM meetings WHERE internal_meeting_id = %(id)s
)
ORDER BY meetings.id DESC
LIMIT %(limit)s

-- name: events
SELECT meeting, at, from_state, to_state, cause FROM meeting_events WHERE meeting = ANY(%(ids)s) ORDER BY id

-- name: named
SELECT meetings.id, meetings.tenant_id, tenants.name AS tenant, meetings.meeting_id, meetings.node_id,
    meetings.node_name AS node, meetings.state, meetings.internal_meeting_id
FROM meetings
JOIN tenants ON tenants.id = meetings.tenant_id
WHERE meetings.state IN ('creating', 'running')
    AND (meetings.meeting_id = %(id)s OR meetings.internal_meeting_id = %(id)s)
    AND (%(tenant)s::text IS NULL OR tenants.name = %(tenant)s)
ORDER BY meetings.id
FOR UPDATE OF meetings

-- name: twins
-- A lost row whose own meeting is listed by its node, beside the live row of its meetingID. If its node was removed, and
-- perhaps registered again since, any node may list it.
SELECT lost.id, tenants.name AS tenant, lost.meeting_id, lost.node_id, lost.node_name AS node,
    lost.internal_meeting_id, lost.finished_at AS lost_at, live.node_name AS live_node,
    live.internal_meeting_id AS live_internal_meeting_id, live.placed_at AS live_since, listed.node_id AS listed_by
FROM meetings AS lost
JOIN tenants ON tenants.id = lost.tenant_id
JOIN meetings AS live
    ON live.tenant_id = lost.tenant_id AND live.meeting_id = lost.meeting_id AND live.state IN ('creating', 'running')
JOIN LATERAL (
    SELECT seen.node_id FROM unnest(%(node_ids)s::bigint[], %(internal_ids)s::text[]) AS seen (node_id, internal_id)
    WHERE seen.internal_id = lost.internal_meeting_id AND (lost.node_id IS NULL OR seen.node_id = lost.node_id)
    ORDER BY seen.node_id LIMIT 1
) AS listed ON true
WHERE lost.state = 'lost' AND lost.created_at IS NOT NULL
    AND (listed.node_id, lost.internal_meeting_id) IS DISTINCT FROM (live.node_id, live.internal_meeting_id)
ORDER BY lost.id

-- name: recordings
-- The newest recordings of all tenants, deleted ones only on request.
SELECT recordings.record_id, recordings.meeting_id, recordings.name, tenants.name AS tenant, recordings.state,
    recordings.protected, recordings.start_ms, recordings.end_ms,
    ARRAY(
        SELECT format FROM recording_formats WHERE recording_formats.recording = recordings.id ORDER BY format
    ) AS formats
FROM recordings JOIN tenants ON tenants.id = recordings.tenant_id
WHERE recordings.state = ANY(%(states)s)
    AND (%(meeting_id)s::text IS NULL OR recordings.meeting_id = %(meeting_id)s)
ORDER BY recordings.id DESC
LIMIT %(limit)s
