-- Chooses the best node for a tenant's meetingID and, if reserve is true, reserves the meetingID there. Called by
-- placement.py.
--
-- The call brings what polls saw and what the create asked for. What changes from one placement to the next is counted
-- here, after the lock has been taken. The order of the nodes is that of core.selection; a test compares the two.
--
-- size_hint: users that the front end announced; may be null. usual_size: users of a room without a history. most:
-- users that the room holds; may be null. refused: ids of nodes that failed this create. known: a JSON object with
--   nodes: for each node its id; rank (lower is better, from its state and tags; null if it may not be chosen); changed
--     and state, as tables nodes and node_observations had them; poll, the beginning of its last poll (null if nothing
--     fresh is known); people, video, meetings: what that poll saw, in users, in users, in meetings. A node that was
--     changed or observed in another state since then is left out.
--   late: internalMeetingIDs that a poll saw although their creates finished after the poll had begun.
--
-- live_id: the row that the meetingID already has; then nothing was done. row_id: the new row. Both are null if no node
-- was fit, if an operator took the chosen node out of service, or if a row of this meetingID was taken back in the
-- meantime. unseen: [node, meetings, users] that no poll could see; for a node without a poll, everything that is live
-- on it. contenders: the nodes that were compared, as {"number": of all, "best": the first twenty as [name, score],
-- "avoided": names of those at a soft limit}; null if there were none. foreign_ids: nodes that have, or may still have,
-- another tenant's meeting of this ID; BBB would take the two for one.
CREATE OR REPLACE FUNCTION choose_node(
    wanted_tenant bigint, wanted_id text, to_record boolean,
    size_hint double precision, usual_size double precision, most double precision,
    refused bigint[], known json, reserve boolean,
    OUT live_id bigint, OUT row_id bigint, OUT chosen_id bigint, OUT chosen_score double precision,
    OUT expected double precision, OUT unseen json, OUT foreign_ids bigint[],
    OUT contenders json
) LANGUAGE plpgsql
-- If many rows are live the planner would rather read the whole table, while all other placements wait for the lock.
SET enable_seqscan = off
AS $$
DECLARE
    chosen_name text;
BEGIN
    -- A create of a meeting that exists does not wait for the lock.
    SELECT id INTO live_id FROM meetings
    WHERE tenant_id = wanted_tenant AND meeting_id = wanted_id AND state IN ('creating', 'running');
    IF FOUND THEN
        RETURN;
    END IF;
    IF reserve THEN
        -- One placement at a time in the whole cluster, because each counts the rows that others add. Every statement
        -- below sees what had been committed when it began.
        PERFORM pg_advisory_xact_lock(x'6262625F706C6163'::bigint);
        SELECT id INTO live_id FROM meetings
        WHERE tenant_id = wanted_tenant AND meeting_id = wanted_id AND state IN ('creating', 'running');
        IF FOUND THEN
            RETURN;
        END IF;
    END IF;

    SELECT least(most, coalesce(size_hint, nullif(max(last.peak_users), 0), usual_size)) INTO expected
    FROM (
        SELECT peak_users FROM meetings
        WHERE tenant_id = wanted_tenant AND meeting_id = wanted_id
        ORDER BY id DESC
        LIMIT 5
    ) AS last;

    WITH seen AS MATERIALIZED (
        SELECT *
        FROM json_to_recordset(known -> 'nodes') AS told (
            id bigint, rank int, changed timestamptz, state text, poll timestamptz,
            people float8, video float8, meetings int
        )
    ), late AS MATERIALIZED (
        SELECT value AS id FROM json_array_elements_text(known -> 'late')
    ), polled AS MATERIALIZED (
        SELECT id, poll FROM seen WHERE poll IS NOT NULL
    ), unpolled AS MATERIALIZED (
        SELECT id FROM nodes WHERE id NOT IN (SELECT id FROM polled)
    ), not_seen AS (
        SELECT m.node_id, m.internal_meeting_id, m.expected_users
        FROM meetings AS m
        WHERE m.state IN ('creating', 'running') AND m.created_at IS NULL AND m.node_id IS NOT NULL
        UNION ALL
        SELECT m.node_id, m.internal_meeting_id, m.expected_users
        FROM meetings AS m JOIN polled ON polled.id = m.node_id
        WHERE m.state IN ('creating', 'running')
            AND m.created_at >= (SELECT min(poll) FROM polled) AND m.created_at >= polled.poll
        UNION ALL
        -- Each node's own rows, in the order of an index: otherwise every live row would be read.
        SELECT m.node_id, m.internal_meeting_id, m.expected_users
        FROM unpolled CROSS JOIN LATERAL (
            SELECT * FROM meetings
            WHERE node_id = unpolled.id AND state IN ('creating', 'running')
            ORDER BY meeting_id OFFSET 0
        ) AS m
        WHERE m.created_at IS NOT NULL
    ), uncounted AS MATERIALIZED (
        SELECT node_id, count(*) AS meetings, sum(expected_users) AS users
        FROM not_seen
        WHERE internal_meeting_id IS NULL OR internal_meeting_id NOT IN (SELECT id FROM late)
        GROUP BY node_id
    ), strange AS MATERIALIZED (
        SELECT node_id
        FROM meetings
        WHERE meeting_id = wanted_id AND tenant_id <> wanted_tenant AND node_id IS NOT NULL
            AND (state IN ('creating', 'running')
                OR (state = 'lost' AND finished_at > clock_timestamp() - interval '1 day'))
    ), loaded AS (
        SELECT
            n.id, n.name, n.weight, seen.rank, seen.video, n.soft_meetings, n.hard_meetings, n.soft_users, n.hard_users,
            seen.meetings + coalesce(uncounted.meetings, 0) AS meetings,
            seen.people + coalesce(uncounted.users, 0) AS people
        FROM seen
        JOIN nodes AS n ON n.id = seen.id AND n.changed_at = seen.changed AND n.admin_state = 'enabled'
        JOIN node_observations AS o ON o.node_id = n.id AND o.state = seen.state
        LEFT JOIN uncounted ON uncounted.node_id = n.id
        WHERE seen.rank IS NOT NULL AND n.id <> ALL (refused) AND n.id NOT IN (SELECT node_id FROM strange)
    ), fit AS MATERIALIZED (
        SELECT
            id, name, weight, rank, meetings, (people + video + expected) / weight AS score,
            (meetings >= soft_meetings) IS TRUE OR (people >= soft_users) IS TRUE AS avoided
        FROM loaded
        WHERE (meetings < hard_meetings) IS NOT FALSE AND (people < hard_users) IS NOT FALSE
    ), contending AS MATERIALIZED (
        SELECT
            id, name, score, avoided,
            row_number() OVER (ORDER BY avoided, score, meetings / weight, weight DESC, id) AS place
        FROM fit
        WHERE rank = (SELECT min(rank) FROM fit)
    )
    SELECT
        best.id, best.name, best.score,
        (SELECT json_agg(json_build_array(node_id, meetings, users)) FROM uncounted),
        ARRAY(SELECT node_id FROM strange),
        (
            SELECT json_build_object(
                'number', count(*),
                'best', json_agg(json_build_array(name, score) ORDER BY place) FILTER (WHERE place <= 20),
                'avoided', coalesce(json_agg(name ORDER BY place) FILTER (WHERE avoided), '[]')
            )
            FROM contending
            HAVING count(*) > 0
        )
    INTO chosen_id, chosen_name, chosen_score, unseen, foreign_ids, contenders
    FROM (VALUES (true)) AS always LEFT JOIN contending AS best ON best.place = 1;

    IF NOT reserve THEN
        RETURN;
    END IF;
    -- A command that takes the node out of service waits for this transaction, or this one for the command.
    PERFORM FROM nodes WHERE id = chosen_id AND admin_state = 'enabled' FOR SHARE;
    IF FOUND THEN
        INSERT INTO meetings (tenant_id, meeting_id, node_id, node_name, expected_users, recorded, cause)
        VALUES (
            wanted_tenant, wanted_id, chosen_id, chosen_name, expected, to_record,
            format('placed on %s at score %s', chosen_name, trim_scale(round(chosen_score::numeric, 2)))
        )
        ON CONFLICT DO NOTHING
        RETURNING id INTO row_id;
    END IF;
END
$$;
