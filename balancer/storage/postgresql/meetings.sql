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
-- functions/choose_node.sql says what each of them is. Lists go and come as text: psycopg takes longer over an array,
-- or over JSON that it reads by itself, than over all the rest.
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

-- name: limit_idle_time
-- A process that hangs in the middle of its transaction gives back its locks soon.
SET LOCAL idle_in_transaction_session_timeout = '2s';

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
-- still running after that was not ended after all. The columns are core.listing.TenantMeeting's, in its order.
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
