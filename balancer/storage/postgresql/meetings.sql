-- name: live
-- The live row of a tenant's meetingID, with its node and for how long that is known to be unreachable.
SELECT
    m.id, m.tenant_id, m.meeting_id, m.state, m.internal_meeting_id, m.node_id,
    n.name, n.url, n.secret, n.admin_state, n.weight, n.tags,
    n.soft_meetings, n.hard_meetings, n.soft_users, n.hard_users,
    CASE WHEN o.state = 'unreachable' THEN extract(epoch FROM clock_timestamp() - o.since)::float8 END
        AS unreachable_for
FROM meetings AS m
LEFT JOIN nodes AS n ON n.id = m.node_id
LEFT JOIN node_observations AS o ON o.node_id = m.node_id
WHERE m.tenant_id = %(tenant_id)s AND m.meeting_id = %(meeting_id)s AND m.state IN ('creating', 'running');

-- name: place
-- functions/choose_node.sql says what each of them is. Lists go and come as text: psycopg takes longer over an array, or over JSON
-- that it reads by itself, than over all the rest.
SELECT
    live_id, row_id, chosen_id, chosen_score, expected, unseen::text, to_json(foreign_ids)::text AS foreign_ids,
    contenders::text
FROM choose_node(
    %(tenant_id)s, %(meeting_id)s, %(recorded)s, %(size_hint)s, %(usual_size)s, %(most)s,
    %(refused)s::bigint[], %(known)s, %(reserve)s
);

-- name: parents_node
-- Where the meeting is that a breakout room names as its parent, by either of its IDs.
SELECT node_id
FROM meetings
WHERE tenant_id = %(tenant_id)s AND state = 'running' AND node_id IS NOT NULL
    AND (meeting_id = %(parent)s OR internal_meeting_id = %(parent)s)
ORDER BY id
LIMIT 1;

-- name: young
-- Running meetings that may still fill; the columns are core.load.Young's, in its order.
SELECT
    node_id, internal_meeting_id, expected_users,
    extract(epoch FROM placed_at)::float8 AS placed_at, extract(epoch FROM created_at)::float8 AS created_at
FROM meetings
WHERE state = 'running' AND node_id IS NOT NULL
    AND created_at > statement_timestamp() - make_interval(secs => %(seconds)s)  -- later than placed_at, and has an index
    AND placed_at > statement_timestamp() - make_interval(secs => %(seconds)s);

-- name: placed
-- How many live meetings each node has.
SELECT node_id, count(*) AS meetings
FROM meetings
WHERE state IN ('creating', 'running') AND node_id IS NOT NULL
GROUP BY node_id;

-- name: lock_node
-- Before any row of a meeting, as everywhere: its admin state cannot change until the transaction ends.
SELECT admin_state FROM nodes WHERE id = %(id)s FOR SHARE;

-- name: hold_up_nobody
-- A transaction that places does not end with its statement: whoever hangs before its end gives back the lock soon.
SET LOCAL idle_in_transaction_session_timeout = '2s';

-- name: begin_new
-- What most creates come to: the row is as it was placed, and its node, locked before it, takes new meetings. Where this
-- changes nothing the case is another one of core.settlement, and likewise where the meeting belongs to another row,
-- which violates the index meetings_internal_on_node, or is another tenant's, or being ended as left over, on a node that
-- was registered anew since.
WITH node AS (
    SELECT id FROM nodes WHERE id = %(node_id)s AND admin_state = 'enabled' FOR SHARE
), changed AS (
    UPDATE meetings
    SET state = 'running', internal_meeting_id = %(internal_meeting_id)s, create_time = %(create_time)s,
        created_at = clock_timestamp()
    FROM node
    WHERE meetings.id = %(id)s AND meetings.node_id = node.id AND meetings.state = 'creating'
        AND NOT EXISTS (
            SELECT FROM meetings AS foreign_one
            WHERE foreign_one.internal_meeting_id = %(internal_meeting_id)s AND foreign_one.node_id IS NULL
                AND (foreign_one.tenant_id <> meetings.tenant_id OR foreign_one.created_at IS NULL)
        )
    RETURNING meetings.id
)
INSERT INTO meeting_events (meeting, from_state, to_state, cause)
SELECT id, 'creating', 'running', %(cause)s FROM changed;

-- name: lock_rows
-- What settle may change, the lowest first, as everybody locks rows: so nobody waits for another in a ring.
SELECT FROM meetings
WHERE id = %(id)s
    OR (internal_meeting_id = %(internal_meeting_id)s
        AND (node_id = %(node_id)s
            OR (node_id IS NULL AND (tenant_id <> %(tenant_id)s OR created_at IS NULL))))
ORDER BY id
FOR UPDATE;

-- name: row
-- A row as it is now, held until the transaction ends.
SELECT id, tenant_id, meeting_id, state, internal_meeting_id, create_time, created_at IS NOT NULL AS handed_out
FROM meetings
WHERE id = %(id)s
FOR UPDATE;

-- name: namesake
-- The other row that a meeting on a node belongs to already, whatever became of it. The node counts: BBB makes the
-- internal id of the meetingID and the time alone, so that two nodes may come to the same one. Of a node that was
-- removed nobody knows whether it is this one, registered anew: there another tenant's may be what was found, or what a
-- poll is about to end as left over.
SELECT id, tenant_id, meeting_id, state, internal_meeting_id, create_time, created_at IS NOT NULL AS handed_out
FROM meetings
WHERE internal_meeting_id = %(internal_meeting_id)s AND id <> %(id)s
    AND (node_id = %(node_id)s OR (node_id IS NULL AND (tenant_id <> %(tenant_id)s OR created_at IS NULL)))
ORDER BY id DESC
LIMIT 1
FOR UPDATE;

-- name: begin
-- A row becomes, or is again, the running meeting that its node told of.
WITH changed AS (
    UPDATE meetings
    SET state = 'running', internal_meeting_id = %(internal_meeting_id)s, create_time = %(create_time)s,
        created_at = coalesce(created_at, clock_timestamp()), finished_at = NULL
    WHERE id = %(id)s AND state = %(from_state)s
    RETURNING id
)
INSERT INTO meeting_events (meeting, from_state, to_state, cause)
SELECT id, %(from_state)s, 'running', %(cause)s FROM changed
RETURNING meeting;

-- name: finish
WITH changed AS (
    UPDATE meetings SET state = %(state)s, finished_at = clock_timestamp()
    WHERE id = %(id)s AND state = %(from_state)s
    RETURNING id
)
INSERT INTO meeting_events (meeting, from_state, to_state, cause)
SELECT id, %(from_state)s, %(state)s, %(cause)s FROM changed
RETURNING meeting;

-- name: succeed
-- The meeting that a node bore in place of one that had ended there: running, or lost where it may not be handed out.
WITH born AS (
    INSERT INTO meetings (
        tenant_id, meeting_id, node_id, node_name, state, internal_meeting_id, create_time, expected_users, recorded,
        placed_at, created_at, finished_at
    )
    SELECT old.tenant_id, old.meeting_id, old.node_id, old.node_name, %(state)s,
        CASE WHEN %(state)s = 'running' THEN %(internal_meeting_id)s END,
        CASE WHEN %(state)s = 'running' THEN %(create_time)s::bigint END,
        old.expected_users, old.recorded,
        clock_timestamp() - make_interval(secs => %(created_within)s),
        CASE WHEN %(state)s = 'running' THEN clock_timestamp() END,
        CASE WHEN %(state)s = 'lost' THEN clock_timestamp() END
    FROM meetings AS old
    WHERE old.id = %(id)s
    RETURNING id
)
INSERT INTO meeting_events (meeting, to_state, cause)
SELECT id, %(state)s, %(cause)s FROM born
RETURNING meeting AS id;

-- name: unreachable
-- How many of the nodes that should be in service are unreachable.
SELECT count(*) FILTER (WHERE o.state = 'unreachable') AS unreachable, count(*) AS nodes
FROM nodes AS n
LEFT JOIN node_observations AS o ON o.node_id = n.id
WHERE n.admin_state <> 'disabled';

-- name: running
-- Where a running meeting is; BBB takes its internalMeetingID for a meetingID too.
SELECT id, meeting_id, node_id, internal_meeting_id
FROM meetings
WHERE tenant_id = %(tenant_id)s AND state = 'running' AND node_id IS NOT NULL
    AND (meeting_id = %(meeting_id)s OR internal_meeting_id = %(meeting_id)s)
ORDER BY meeting_id <> %(meeting_id)s
LIMIT 1;

-- name: listed
-- A tenant's running meetings, for getMeetings, but for those whose node took an end a moment ago: one that still runs
-- after that was not ended after all. The columns are core.listing.Listed's, in its order.
SELECT
    node_id, meeting_id, internal_meeting_id, extract(epoch FROM created_at)::float8 AS created_at, create_time, recorded
FROM meetings
WHERE tenant_id = %(tenant_id)s AND state = 'running' AND node_id IS NOT NULL
    AND (end_requested_at > clock_timestamp() - interval '2 minutes') IS NOT TRUE
ORDER BY id;

-- name: all_running
-- Every running meeting that can be joined; the columns are storage.redis.whereabouts.Running's, in its order.
SELECT tenant_id, meeting_id, id, node_id, internal_meeting_id
FROM meetings
WHERE state = 'running' AND node_id IS NOT NULL;
