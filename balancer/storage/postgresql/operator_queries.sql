-- name: live
-- Live meetings, of one node or of all, oldest first.
SELECT meetings.id, tenants.name AS tenant, meetings.meeting_id, meetings.node_id, meetings.node_name AS node,
    meetings.state, meetings.internal_meeting_id, meetings.create_time, meetings.placed_at, meetings.user_joined,
    meetings.recorded, meetings.tenant_id
FROM meetings JOIN tenants ON tenants.id = meetings.tenant_id
WHERE meetings.state IN ('creating', 'running') AND (%(node_id)s::bigint IS NULL OR meetings.node_id = %(node_id)s)
ORDER BY meetings.id

-- name: history
-- Every row that a meetingID or an internalMeetingID ever had, newest first.
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

-- name: give_up
WITH before AS (
    SELECT id, state FROM meetings WHERE id = %(id)s AND state IN ('creating', 'running') FOR UPDATE
), changed AS (
    UPDATE meetings SET state = 'lost', finished_at = clock_timestamp()
    FROM before
    WHERE meetings.id = before.id
    RETURNING meetings.id, before.state
)
INSERT INTO meeting_events (meeting, from_state, to_state, cause)
SELECT id, state, 'lost', %(cause)s FROM changed

-- name: note_end
WITH changed AS (
    UPDATE meetings SET end_requested_at = clock_timestamp()
    WHERE id = %(id)s AND state = 'running'
        AND (end_requested_at > clock_timestamp() - interval '2 minutes') IS NOT TRUE
    RETURNING id
)
INSERT INTO meeting_events (meeting, from_state, to_state, cause)
SELECT id, 'running', 'running', %(cause)s FROM changed

-- name: twins
-- A lost row with a meeting of its own that its node lists, beside the live row of its meetingID. Where its node was
-- removed, and perhaps registered anew since, any node's list tells.
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

-- name: lose_all
-- The node goes for good: nobody will ever tell that its meetings ended.
WITH changed AS (
    UPDATE meetings SET state = 'lost', finished_at = clock_timestamp()
    FROM (
        SELECT id, state FROM meetings
        WHERE node_id = %(node_id)s AND state IN ('creating', 'running')
        ORDER BY id FOR UPDATE
    ) AS live
    WHERE meetings.id = live.id
    RETURNING meetings.id, meetings.tenant_id, meetings.meeting_id, live.state AS from_state
), told AS (
    INSERT INTO meeting_events (meeting, from_state, to_state, cause)
    SELECT id, from_state, 'lost', %(cause)s FROM changed
)
SELECT id, tenant_id, meeting_id FROM changed

-- name: recordings
-- The newest recordings of all tenants, deleted ones only where they are asked for.
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
