-- name: live
-- The live row of a tenant's meetingID, with its node and the seconds for which that is known to be unreachable.
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

-- name: prepare
-- For the survey: if much of the table is live, the planner would rather read all of it, or plan again for each placement.
-- A process that hangs before the end of its transaction loses its locks soon.
SET LOCAL idle_in_transaction_session_timeout = '2s';
SET LOCAL enable_seqscan = off;
SET LOCAL plan_cache_mode = force_generic_plan;

-- name: queue
-- One at a time among the placements that lost a race.
SELECT pg_advisory_xact_lock(x'6262625F706C6163'::bigint);

-- name: survey
-- What a placement counts at this moment: every node as it is now, and its live meetings that no poll can have seen. In
-- each row also what concerns the new meeting: the live row of its meetingID, and the most users that were in one of its
-- last five meetings at once.
--
-- polled, polls: ids of the nodes with a fresh snapshot, and when their polls began. late: internalMeetingIDs that a
-- poll saw although their creates finished after it had begun.
WITH polled AS MATERIALIZED (
    SELECT * FROM unnest(%(polled)s::bigint[], %(polls)s::timestamptz[]) AS polled (id, began)
), not_seen AS (
    SELECT m.node_id, m.internal_meeting_id, m.expected_users
    FROM meetings AS m
    WHERE m.state IN ('creating', 'running') AND m.created_at IS NULL AND m.node_id IS NOT NULL
    UNION ALL
    SELECT m.node_id, m.internal_meeting_id, m.expected_users
    FROM meetings AS m JOIN polled ON polled.id = m.node_id
    WHERE m.state IN ('creating', 'running')
        AND m.created_at >= (SELECT min(began) FROM polled) AND m.created_at >= polled.began
    UNION ALL
    -- Each node's own rows, in the order of the index that has them: else all that are live would be read.
    SELECT m.node_id, m.internal_meeting_id, m.expected_users
    FROM nodes AS n CROSS JOIN LATERAL (
        SELECT * FROM meetings
        WHERE node_id = n.id AND state IN ('creating', 'running')
        ORDER BY meeting_id OFFSET 0
    ) AS m
    WHERE n.id NOT IN (SELECT id FROM polled) AND m.created_at IS NOT NULL
), reserved AS MATERIALIZED (
    SELECT node_id, count(*) AS meetings, sum(expected_users) AS users
    FROM not_seen
    WHERE internal_meeting_id IS NULL OR internal_meeting_id <> ALL (%(late)s::text[])
    GROUP BY node_id
), foreign_holders AS MATERIALIZED (
    -- BBB would take the two meetings for one. A node may still have a meeting that was lost.
    SELECT node_id
    FROM meetings
    WHERE meeting_id = %(meeting_id)s AND tenant_id <> %(tenant_id)s AND node_id IS NOT NULL
        AND (state IN ('creating', 'running')
            OR (state = 'lost' AND finished_at > clock_timestamp() - interval '1 day'))
)
SELECT
    n.id, n.admin_state, n.changed_at, o.state AS observed, coalesce(p.placements, 0) AS placements,
    coalesce(reserved.meetings, 0) AS meetings, coalesce(reserved.users, 0)::float8 AS users,
    n.id IN (SELECT node_id FROM foreign_holders) AS holds_foreign,
    (
        SELECT id FROM meetings
        WHERE tenant_id = %(tenant_id)s AND meeting_id = %(meeting_id)s AND state IN ('creating', 'running')
    ) AS live_id,
    (
        SELECT max(peak_users)::float8
        FROM (
            SELECT peak_users FROM meetings
            WHERE tenant_id = %(tenant_id)s AND meeting_id = %(meeting_id)s
            ORDER BY id DESC
            LIMIT 5
        ) AS last_meetings
    ) AS peak
FROM nodes AS n
LEFT JOIN node_observations AS o ON o.node_id = n.id
LEFT JOIN node_placements AS p ON p.node_id = n.id
LEFT JOIN reserved ON reserved.node_id = n.id;

-- name: reserve
-- The new meeting's row. None if the node no longer takes meetings, if another meeting was placed on it since the survey,
-- or if the meetingID has a live row after all. Placements on other nodes only make those worse, so they do not count. A
-- command that takes the node out of service waits for this transaction, or this one waits for the command's.
WITH node AS (
    SELECT id, name FROM nodes WHERE id = %(node_id)s AND admin_state = 'enabled' FOR SHARE
), counted AS (
    INSERT INTO node_placements (node_id, placements) SELECT id, 1 FROM node
    ON CONFLICT (node_id) DO UPDATE SET placements = node_placements.placements + 1
    WHERE node_placements.placements = %(placements)s
    RETURNING node_id
)
INSERT INTO meetings (tenant_id, meeting_id, node_id, node_name, expected_users, recorded, cause)
SELECT %(tenant_id)s, %(meeting_id)s, id, name, %(expected_users)s, %(recorded)s, %(cause)s
FROM node JOIN counted ON counted.node_id = node.id
ON CONFLICT DO NOTHING
RETURNING id;

-- name: parents_node
-- The node of the meeting that a breakout room names as its parent, by either of its IDs.
SELECT node_id
FROM meetings
WHERE tenant_id = %(tenant_id)s AND state = 'running' AND node_id IS NOT NULL
    AND (meeting_id = %(parent)s OR internal_meeting_id = %(parent)s)
ORDER BY id
LIMIT 1;

-- name: young
-- Running meetings that may still fill; the columns are core.load.YoungMeeting's, in its order.
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
