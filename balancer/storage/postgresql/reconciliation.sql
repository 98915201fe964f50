-- name: rows_on_node
-- What a poll of a node concerns: its live rows, and those lost with it or by a create without an answer.
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

-- name: end_running
-- Only a poll begun after the create had finished ends a meeting; a row that changed meanwhile is left as it is.
WITH changed AS (
    UPDATE meetings SET state = 'ended', finished_at = clock_timestamp()
    WHERE id = ANY(%(ids)s) AND state = 'running' AND created_at < %(poll_started)s
    RETURNING id
)
INSERT INTO meeting_events (meeting, from_state, to_state, cause)
SELECT id, 'running', 'ended', %(cause)s FROM changed
RETURNING meeting

-- name: finish_creating
-- Ended where its node has nothing of it, or only what is another row's. Lost where nobody was told of what the node has:
-- the next poll closes that as left over.
WITH changed AS (
    UPDATE meetings SET state = %(to_state)s, finished_at = clock_timestamp()
    WHERE id = ANY(%(ids)s) AND state = 'creating'
    RETURNING id
)
INSERT INTO meeting_events (meeting, from_state, to_state, cause)
SELECT id, 'creating', %(to_state)s, %(cause)s FROM changed
RETURNING meeting

-- name: lock_node
-- Before any row of a meeting, as everywhere.
SELECT admin_state FROM nodes WHERE id = %(id)s FOR SHARE

-- name: lock_node_alone
-- Before a left-over is claimed: a create that its node answers with that meeting settles before, and the claim sees it,
-- or after, and sees the claim. Stronger than lock_node, and so before it.
SELECT FROM nodes WHERE id = %(id)s FOR NO KEY UPDATE

-- name: lock_rows
-- What a poll is about to change, the lowest first, as everybody locks rows: so nobody waits for another in a ring.
SELECT FROM meetings WHERE id = ANY(%(ids)s) ORDER BY id FOR UPDATE

-- name: adopt
-- A meeting belongs to one row for ever: its internal id may be no other row's on this node. On one that was removed, and
-- perhaps registered anew since, it may be neither another tenant's nor what is being ended as left over.
WITH changed AS (
    UPDATE meetings SET
        state = 'running', internal_meeting_id = %(internal_meeting_id)s, create_time = %(create_time)s,
        created_at = clock_timestamp(), user_joined = user_joined OR %(user_joined)s
    WHERE id = %(id)s AND state = 'creating'
        AND NOT EXISTS (
            SELECT FROM meetings AS other
            WHERE other.internal_meeting_id = %(internal_meeting_id)s AND other.id <> %(id)s
                AND (other.node_id = meetings.node_id
                    OR (other.node_id IS NULL
                        AND (other.tenant_id <> meetings.tenant_id OR other.created_at IS NULL)))
        )
    RETURNING id
)
INSERT INTO meeting_events (meeting, from_state, to_state, cause)
SELECT id, 'creating', 'running', %(cause)s FROM changed
RETURNING meeting

-- name: take_back
-- A lost meeting whose node returned runs on, unless its meetingID lives elsewhere by now, or the node was removed.
WITH changed AS (
    UPDATE meetings AS lost SET
        state = 'running', finished_at = NULL, user_joined = user_joined OR %(user_joined)s
    WHERE id = %(id)s AND state = 'lost' AND internal_meeting_id = %(internal_meeting_id)s AND node_id IS NOT NULL
        AND NOT EXISTS (
            SELECT FROM meetings AS live
            WHERE live.meeting_id = lost.meeting_id AND live.state IN ('creating', 'running')
                AND (live.tenant_id = lost.tenant_id OR live.node_id = lost.node_id)
        )
    RETURNING id
)
INSERT INTO meeting_events (meeting, from_state, to_state, cause)
SELECT id, 'lost', 'running', %(cause)s FROM changed
RETURNING meeting

-- name: note_twins
-- A lost meeting that is back while its meetingID lives elsewhere is reported once for each time it was lost.
INSERT INTO meeting_events (meeting, from_state, to_state, cause)
SELECT lost.id, 'lost', 'lost', %(cause)s
FROM meetings AS lost
JOIN meetings AS live
    ON live.tenant_id = lost.tenant_id AND live.meeting_id = lost.meeting_id AND live.state IN ('creating', 'running')
WHERE lost.id = ANY(%(ids)s) AND lost.state = 'lost'
    AND NOT EXISTS (
        SELECT FROM meeting_events AS told
        WHERE told.meeting = lost.id AND told.cause = %(cause)s AND told.at >= lost.finished_at
    )
RETURNING meeting

-- name: claim_left_over
-- Before it is ended, a left-over meeting is tied to the row of the create that made it: a later create that is answered
-- with it by the node can tell that it is being ended. No other row may know it there, or on a node that was removed and
-- may be this one, and none may be live; nor is it claimed any more once its node was removed.
WITH changed AS (
    UPDATE meetings AS lost SET internal_meeting_id = %(internal_meeting_id)s, create_time = %(create_time)s
    FROM (SELECT id, internal_meeting_id FROM meetings WHERE id = %(id)s FOR UPDATE) AS before
    WHERE lost.id = before.id AND lost.state = 'lost' AND lost.created_at IS NULL AND lost.node_id IS NOT NULL
        AND (lost.internal_meeting_id IS NULL OR lost.internal_meeting_id = %(internal_meeting_id)s)
        AND NOT EXISTS (
            SELECT FROM meetings AS other
            WHERE other.id <> lost.id AND (
                (other.internal_meeting_id = %(internal_meeting_id)s
                    AND (other.node_id = lost.node_id OR other.node_id IS NULL))
                OR (other.node_id = lost.node_id AND other.meeting_id = lost.meeting_id
                    AND other.state IN ('creating', 'running')))
        )
    RETURNING lost.id, before.internal_meeting_id IS NULL AS first
), told AS (
    INSERT INTO meeting_events (meeting, from_state, to_state, cause)
    SELECT id, 'lost', 'lost', %(cause)s FROM changed WHERE first
)
SELECT id AS meeting FROM changed

-- name: note_joined
UPDATE meetings SET user_joined = true WHERE id = ANY(%(ids)s) AND NOT user_joined RETURNING id AS meeting

-- name: note_peaks
-- What later meetings of these rooms may expect.
UPDATE meetings SET peak_users = seen.users
FROM unnest(%(ids)s::bigint[], %(users)s::integer[]) AS seen (id, users)
WHERE meetings.id = seen.id AND meetings.peak_users < seen.users
