-- Every change of a meeting's state, and of what its history records. A trigger writes the event (see
-- functions/record_meeting_event.sql); transitions.py adds the RETURNING clause that describes the change.

-- name: begin_new
-- The usual outcome of a create, in one statement: the row is as it was placed, and its node, locked before it, accepts
-- new meetings. It changes nothing in all other cases of core.create_outcome. If the meeting belongs to another row on this
-- node, it violates the index meetings_internal_on_node.
WITH node AS (
    SELECT id FROM nodes WHERE id = %(node_id)s AND admin_state = 'enabled' FOR SHARE
)
UPDATE meetings
SET state = 'running', internal_meeting_id = %(internal_meeting_id)s, create_time = %(create_time)s,
    created_at = clock_timestamp(), cause = %(cause)s
FROM node
WHERE meetings.id = %(id)s AND meetings.node_id = node.id AND meetings.state = 'creating'
    -- On a node that was removed, and perhaps registered again since, the meeting may be another tenant's or one that a
    -- poll is about to end as left over.
    AND NOT EXISTS (
        SELECT FROM meetings AS other
        WHERE other.internal_meeting_id = %(internal_meeting_id)s AND other.node_id IS NULL
            AND (other.tenant_id <> meetings.tenant_id OR other.created_at IS NULL)
    )

-- name: begin
-- A row becomes, or is again, the running meeting that its node reported.
UPDATE meetings
SET state = 'running', internal_meeting_id = %(internal_meeting_id)s, create_time = %(create_time)s,
    created_at = coalesce(created_at, clock_timestamp()), finished_at = NULL, cause = %(cause)s
WHERE id = %(id)s AND state = %(from_state)s

-- name: succeed
-- A row for the meeting that a node created in place of one that had ended: running, or lost if it may not be handed
-- out.
INSERT INTO meetings (
    tenant_id, meeting_id, node_id, node_name, state, internal_meeting_id, create_time, expected_users, recorded,
    placed_at, created_at, finished_at, cause
)
SELECT old.tenant_id, old.meeting_id, old.node_id, old.node_name, %(state)s,
    CASE WHEN %(state)s = 'running' THEN %(internal_meeting_id)s END,
    CASE WHEN %(state)s = 'running' THEN %(create_time)s::bigint END,
    old.expected_users, old.recorded,
    clock_timestamp() - make_interval(secs => %(created_within)s),
    CASE WHEN %(state)s = 'running' THEN clock_timestamp() END,
    CASE WHEN %(state)s = 'lost' THEN clock_timestamp() END,
    %(cause)s
FROM meetings AS old
WHERE old.id = %(id)s

-- name: finish
-- Changes only rows that are still in the state that the caller saw.
UPDATE meetings SET state = %(to_state)s, finished_at = clock_timestamp(), cause = %(cause)s
WHERE id = ANY(%(ids)s) AND state = %(from_state)s

-- name: end_running
-- Only a poll that began after the create had finished may end a meeting.
UPDATE meetings SET state = 'ended', finished_at = clock_timestamp(), cause = %(cause)s
WHERE id = ANY(%(ids)s) AND state = 'running' AND created_at < %(poll_started)s

-- name: lock_live_on_node
-- In the order in which all transactions lock rows, so that none deadlocks.
SELECT id, state FROM meetings
WHERE node_id = %(node_id)s AND state IN ('creating', 'running')
ORDER BY id
FOR UPDATE

-- name: adopt
-- A meeting belongs to one row for ever: no other row on this node may have its internalMeetingID. On a node that was
-- removed, and perhaps registered again since, the meeting may be neither another tenant's nor one that is being ended
-- as left over.
UPDATE meetings
SET state = 'running', internal_meeting_id = %(internal_meeting_id)s, create_time = %(create_time)s,
    created_at = clock_timestamp(), user_joined = user_joined OR %(user_joined)s, cause = %(cause)s
WHERE id = %(id)s AND state = 'creating'
    AND NOT EXISTS (
        SELECT FROM meetings AS other
        WHERE other.internal_meeting_id = %(internal_meeting_id)s AND other.id <> %(id)s
            AND (other.node_id = meetings.node_id
                OR (other.node_id IS NULL
                    AND (other.tenant_id <> meetings.tenant_id OR other.created_at IS NULL)))
    )

-- name: take_back
-- A lost meeting runs again when its node is back, unless its meetingID is live elsewhere by now or the node was
-- removed.
UPDATE meetings
SET state = 'running', finished_at = NULL, user_joined = user_joined OR %(user_joined)s, cause = %(cause)s
WHERE id = %(id)s AND state = 'lost' AND internal_meeting_id = %(internal_meeting_id)s AND node_id IS NOT NULL
    AND NOT EXISTS (
        SELECT FROM meetings AS live
        WHERE live.meeting_id = meetings.meeting_id AND live.state IN ('creating', 'running')
            AND (live.tenant_id = meetings.tenant_id OR live.node_id = meetings.node_id)
    )

-- name: note_twins
-- A lost meeting that is back while its meetingID is live elsewhere: recorded once each time it is lost.
UPDATE meetings SET cause = %(cause)s
WHERE id = ANY(%(ids)s) AND state = 'lost' AND cause <> %(cause)s
    AND EXISTS (
        SELECT FROM meetings AS live
        WHERE live.tenant_id = meetings.tenant_id AND live.meeting_id = meetings.meeting_id
            AND live.state IN ('creating', 'running')
    )

-- name: claim_left_over
-- Before a left-over meeting is ended, it is tied to the row of the create that made it, so that a later create that
-- gets the same meeting from the node can see that it is being ended. No other row may have the meeting, on this node
-- or on one that was removed and may be this one, and its meetingID may not be live here. No claim once its own node
-- was removed.
UPDATE meetings
SET internal_meeting_id = %(internal_meeting_id)s, create_time = %(create_time)s, cause = %(cause)s
WHERE id = %(id)s AND state = 'lost' AND created_at IS NULL AND node_id IS NOT NULL
    AND (internal_meeting_id IS NULL OR internal_meeting_id = %(internal_meeting_id)s)
    AND NOT EXISTS (
        SELECT FROM meetings AS other
        WHERE other.id <> meetings.id AND (
            (other.internal_meeting_id = %(internal_meeting_id)s
                AND (other.node_id = meetings.node_id OR other.node_id IS NULL))
            OR (other.node_id = meetings.node_id AND other.meeting_id = meetings.meeting_id
                AND other.state IN ('creating', 'running')))
    )

-- name: request_end
-- The node accepted an end: getMeetings stops listing the meeting, and it is forgotten once the node confirms.
UPDATE meetings SET end_requested_at = clock_timestamp(), cause = %(cause)s
WHERE id = %(id)s AND state = 'running' AND (end_requested_at > clock_timestamp() - interval '2 minutes') IS NOT TRUE
