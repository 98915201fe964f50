-- Recordings and their formats. Every query names the tenant, except those of the importer and of playback.

-- name: columns
-- One row for each recording, its formats as JSON: presentation first, because some clients read only the first one.
SELECT
    r.record_id, r.meeting_id, coalesce(nullif(r.edited_metadata ->> 'meetingName', ''), r.name) AS name, r.state,
    r.protected, r.is_breakout, r.breakout, r.breakout_rooms, r.start_ms, r.end_ms, r.participants, r.raw_size,
    r.metadata, (
        SELECT coalesce(json_agg(json_build_object(
            'format', f.format, 'url', f.url, 'length_ms', f.length_ms, 'size_bytes', f.size_bytes,
            'processing_ms', f.processing_ms, 'previews', f.previews
        ) ORDER BY f.format <> 'presentation', f.format), '[]')
        FROM recording_formats f WHERE f.recording = r.id
    ) AS formats

-- name: all_matching
FROM recordings r WHERE {where}
ORDER BY r.start_ms DESC, r.id DESC

-- name: page_matching
-- With the tenant's totals; if the page is empty, one row with nothing else. Only the page's own rows are read with all
-- columns and formats, because OFFSET may skip a million.
, totals.total, totals.version, page.matching
FROM ({totals}) AS totals LEFT JOIN ({page}) AS page ON true LEFT JOIN recordings r ON r.id = page.id
ORDER BY r.start_ms DESC, r.id DESC

-- name: newest_of_many
SELECT r.id, NULL::bigint AS matching FROM recordings r WHERE {where}
ORDER BY r.start_ms DESC, r.id DESC OFFSET %(offset)s LIMIT %(limit)s

-- name: newest_of_few
-- Finds all that match before it takes the newest. Without this, the planner scans all recordings from the newest on if
-- its sample holds one of the few that match, because it then expects many.
WITH matching AS MATERIALIZED (SELECT r.id, r.start_ms FROM recordings r WHERE {where})
SELECT id, (SELECT count(*) FROM matching) AS matching FROM matching
ORDER BY start_ms DESC, id DESC OFFSET %(offset)s LIMIT %(limit)s

-- name: totals
-- How many recordings the states have, at the same cost for a million; and a version that differs after any change that
-- filters can see, because it is a sum of the hashes of the rows' ids.
SELECT
    coalesce(sum(change) FILTER (WHERE state = ANY (%(states)s)), 0)::bigint AS total,
    count(*) || ' ' || coalesce(sum(hashint8extended(id, 0)), 0) AS version
FROM recording_totals WHERE tenant_id = %(tenant)s

-- name: count
SELECT count(*) AS total FROM recordings r WHERE {where}

-- name: gather_totals
-- Merges the rows into one for each tenant and state, once there are many. Concurrent inserts do not wait.
WITH gathered AS (
    DELETE FROM recording_totals WHERE (SELECT count(*) FROM recording_totals) > %(many)s
    RETURNING tenant_id, state, change
)
INSERT INTO recording_totals (tenant_id, state, change)
SELECT tenant_id, state, sum(change) FROM gathered GROUP BY tenant_id, state

-- name: where_tenant
r.tenant_id = %(tenant)s

-- name: where_states
r.state = ANY (%(states)s)

-- name: where_meetings
r.meeting_id = ANY (%(meeting_ids)s)

-- name: where_record_ids
r.record_id = ANY (%(record_ids)s)

-- name: where_prefix
-- Literals, so that the planner knows how few rows a prefix has.
r.record_id >= {low} AND r.record_id < {high}

-- name: where_exact
r.metadata @> %(exact)s::jsonb

-- name: where_like
NOT EXISTS (
    SELECT FROM unnest(%(names)s::text[], %(patterns)s::text[]) AS f (name, pattern)
    WHERE NOT coalesce(r.metadata ->> f.name LIKE f.pattern, false)
)

-- name: get
SELECT r.*, t.name AS tenant, (
    SELECT coalesce(jsonb_agg(to_jsonb(f) ORDER BY f.format <> 'presentation', f.format), '[]')
    FROM recording_formats f WHERE f.recording = r.id
) AS formats
FROM recordings r JOIN tenants t ON t.id = r.tenant_id
WHERE r.record_id = %(record_id)s

-- name: change_state
-- Returns how many of the ids exist. Rows are locked in the order of their ids, so that two calls cannot deadlock.
WITH known AS (
    SELECT id FROM recordings
    WHERE tenant_id = %(tenant)s AND record_id = ANY (%(record_ids)s) AND state <> 'deleted'
    ORDER BY id FOR UPDATE
), changed AS (
    UPDATE recordings r
    SET state = %(state)s, move_due = true, move_not_before = NULL, move_attempts = 0, move_reason = '',
        changed_at = clock_timestamp()
    FROM known WHERE r.id = known.id AND r.state <> %(state)s
)
SELECT count(*) AS total FROM known

-- name: lock_edits
SELECT id, edited_metadata FROM recordings
WHERE tenant_id = %(tenant)s AND record_id = ANY (%(record_ids)s) AND state <> 'deleted'
ORDER BY id FOR UPDATE

-- name: save_edits
UPDATE recordings
SET edited_metadata = %(edited)s, protected = coalesce(%(protected)s, protected), changed_at = clock_timestamp()
WHERE id = %(id)s

-- name: playback
SELECT r.state, r.protected FROM recordings r JOIN recording_formats f ON f.recording = r.id
WHERE r.record_id = %(record_id)s AND f.format = %(format)s

-- name: claims
-- Possible owners of an archive: meetings with that internal id, and the parents of a breakout room; newest first.
SELECT m.tenant_id, CASE WHEN m.internal_meeting_id = %(record_id)s THEN m.meeting_id END AS meeting_id, n.url
FROM meetings m LEFT JOIN nodes n ON n.id = m.node_id
WHERE m.internal_meeting_id = ANY (ARRAY[%(record_id)s, %(parent)s]::text[])
ORDER BY m.id DESC

-- name: default_tenant
SELECT id FROM tenants WHERE name = 'default'

-- name: for_import
SELECT r.id, r.state, r.tenant_id, r.tenant_assumed, (
    SELECT coalesce(jsonb_object_agg(f.format, jsonb_build_array(f.tree, f.sha256, f.import)), '{}')
    FROM recording_formats f WHERE f.recording = r.id
) AS formats
FROM recordings r WHERE r.record_id = %(record_id)s

-- name: save
-- A later archive adds what it knows, and changes neither state, protection nor the users' edits.
INSERT INTO recordings AS r (
    record_id, tenant_id, tenant_assumed, meeting_id, name, state, is_breakout, breakout, breakout_rooms,
    start_ms, end_ms, participants, raw_size, imported_metadata
) VALUES (
    %(record_id)s, %(tenant_id)s, %(tenant_assumed)s, coalesce(%(meeting_id)s, %(record_id)s),
    coalesce(%(name)s, %(meeting_id)s, %(record_id)s), %(state)s, coalesce(%(is_breakout)s, false), %(breakout)s,
    %(breakout_rooms)s, coalesce(%(start_ms)s, 0), coalesce(%(end_ms)s, 0), %(participants)s, %(raw_size)s, %(meta)s
)
ON CONFLICT (record_id) DO UPDATE SET
    tenant_id = CASE WHEN r.tenant_assumed THEN excluded.tenant_id ELSE r.tenant_id END,
    tenant_assumed = r.tenant_assumed AND excluded.tenant_assumed,
    meeting_id = coalesce(%(meeting_id)s, r.meeting_id),
    name = coalesce(%(name)s, r.name),
    is_breakout = coalesce(%(is_breakout)s, r.is_breakout),
    breakout = coalesce(excluded.breakout, r.breakout),
    breakout_rooms = CASE WHEN excluded.breakout_rooms = '{}' THEN r.breakout_rooms ELSE excluded.breakout_rooms END,
    start_ms = coalesce(%(start_ms)s, r.start_ms),
    end_ms = coalesce(%(end_ms)s, r.end_ms),
    participants = coalesce(excluded.participants, r.participants),
    raw_size = coalesce(excluded.raw_size, r.raw_size),
    imported_metadata = r.imported_metadata || excluded.imported_metadata,
    changed_at = clock_timestamp()
RETURNING r.id

-- name: save_format
INSERT INTO recording_formats AS f (
    recording, format, url, length_ms, size_bytes, processing_ms, previews, tree, files, unpacked_bytes, sha256, import
) VALUES (
    %(recording)s, %(format)s, %(url)s, %(length_ms)s, %(size_bytes)s, %(processing_ms)s, %(previews)s, %(tree)s,
    %(files)s, %(unpacked_bytes)s, %(sha256)s, %(import)s
)
ON CONFLICT (recording, format) DO UPDATE SET
    url = excluded.url, length_ms = excluded.length_ms, size_bytes = excluded.size_bytes,
    processing_ms = excluded.processing_ms, previews = excluded.previews, tree = excluded.tree,
    files = excluded.files, unpacked_bytes = excluded.unpacked_bytes, sha256 = excluded.sha256,
    import = excluded.import, imported_at = clock_timestamp()

-- name: update_move_due
-- The rows themselves say whether files still have to move, at the time of the commit.
UPDATE recordings r
SET move_not_before = NULL, move_reason = '', move_attempts = 0, move_due = EXISTS (
    SELECT FROM recording_formats f WHERE f.recording = r.id AND f.tree <> r.state
)
WHERE r.id = %(id)s

-- name: claim_move
-- move_not_before is also the lease: if the process dies, another one takes the row after that time.
UPDATE recordings r
SET move_not_before = clock_timestamp() + %(lease)s * interval '1 second', move_attempts = r.move_attempts + 1
WHERE r.id = (
    SELECT id FROM recordings
    WHERE move_due AND (move_not_before IS NULL OR move_not_before <= clock_timestamp())
    ORDER BY move_not_before NULLS FIRST LIMIT 1 FOR UPDATE SKIP LOCKED
)
RETURNING r.id, r.record_id, r.state, r.move_attempts, ARRAY(
    SELECT f.format FROM recording_formats f WHERE f.recording = r.id ORDER BY f.format
) AS formats

-- name: moved
UPDATE recording_formats SET tree = %(tree)s WHERE recording = %(id)s AND format = ANY (%(formats)s)

-- name: postpone_move
UPDATE recordings
SET move_not_before = clock_timestamp() + %(delay)s * interval '1 second', move_reason = %(reason)s
WHERE id = %(id)s

-- name: due_moves
SELECT record_id, state, move_attempts, move_reason, move_not_before FROM recordings WHERE move_due
ORDER BY move_not_before NULLS FIRST, id LIMIT %(limit)s

-- name: try_lock_files
-- Held while a recording's files move. The web process never takes it, so a hung share delays no request.
SELECT pg_try_advisory_xact_lock(hashtextextended(%(record_id)s, 0)) AS locked

-- name: allow_idle
SET LOCAL idle_in_transaction_session_timeout = 0
