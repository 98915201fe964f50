-- name: quick
-- As in a restore: without triggers and checks of other tables, and with indexes created at the end.
SET session_replication_role = replica;

-- name: memory
SET maintenance_work_mem = '256MB';

-- name: indexes
CREATE TEMPORARY TABLE indexes AS
SELECT indexrelid::regclass::text AS name, pg_get_indexdef(indexrelid) AS definition FROM pg_index
WHERE indrelid = 'recordings'::regclass AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid);

-- name: drop_indexes
DO $$
DECLARE dropped text;
BEGIN
    FOR dropped IN SELECT name FROM indexes LOOP
        EXECUTE 'DROP INDEX ' || dropped;
    END LOOP;
END
$$;

-- name: recordings
-- As imports create them: ten a meeting, with the metadata that Moodle and Greenlight send.
INSERT INTO recordings (
    record_id, tenant_id, meeting_id, name, state, start_ms, end_ms, participants, raw_size, imported_metadata
)
SELECT
    left(encode(sha256(convert_to('meeting ' || n / 10, 'UTF8')), 'hex'), 40) || '-' || 1700000000000 + n,
    (SELECT id FROM tenants WHERE name = 'default'),
    'room-' || n / 10,
    'Lecture ' || n %% 10,
    CASE WHEN n %% 50 = 7 THEN 'unpublished' WHEN n %% 100 = 13 THEN 'deleted' ELSE 'published' END,
    1700000000000 + n * 60000::bigint, 1700005400000 + n * 60000::bigint, n %% 200, 50000000,
    jsonb_build_object(
        'meetingId', 'room-' || n / 10, 'meetingName', 'Lecture ' || n %% 10, 'isBreakout', 'false',
        'bbb-origin', CASE WHEN n %% 3 = 0 THEN 'Greenlight' ELSE 'Moodle' END,
        'bbb-context', 'Course ' || n / 50,
        'bbb-recording-name', 'Lecture ' || n
    )
FROM generate_series(0, %(count)s::int - 1) AS n;

-- name: totals
-- As the triggers would have counted them.
INSERT INTO recording_totals (tenant_id, state, change)
SELECT tenant_id, state, count(*) FROM recordings GROUP BY tenant_id, state;

-- name: formats
-- Two a recording, the presentation with a preview.
INSERT INTO recording_formats (
    recording, format, url, length_ms, size_bytes, processing_ms, previews, tree, files, unpacked_bytes, sha256
)
SELECT
    r.id, f.format, '/playback/' || f.format || '/2.3/' || r.record_id, 5400000, 40000000, 90000,
    CASE WHEN f.format = 'presentation' THEN jsonb_build_array(jsonb_build_object(
        'url', '/presentation/' || r.record_id || '/presentation/a/thumbnails/thumb-1.png',
        'width', '176', 'height', '136', 'alt', 'Slide 1'
    )) ELSE '[]' END,
    r.state, 40, 40000000, repeat('0', 64)
FROM recordings AS r CROSS JOIN (VALUES ('presentation'), ('video')) AS f (format);

-- name: make_indexes
DO $$
DECLARE made text;
BEGIN
    FOR made IN SELECT definition FROM indexes LOOP
        EXECUTE made;
    END LOOP;
END
$$;

-- name: analyze
-- As autovacuum does soon afterwards.
VACUUM ANALYZE recordings, recording_formats;
