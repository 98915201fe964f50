-- Recordings. Publication, protection and deletion are true from the moment a row says so; the bytes follow.

-- COLLATE "C" makes a recordID's prefix a plain range of the unique index.
CREATE TABLE recordings (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    record_id text COLLATE "C" NOT NULL UNIQUE CHECK (record_id ~ '^[0-9a-f]{1,64}-[0-9]{1,20}$'),
    tenant_id bigint NOT NULL REFERENCES tenants,
    -- No meeting of ours is known for it: the default tenant's, until an operator or a later archive knows better.
    tenant_assumed boolean NOT NULL DEFAULT false,
    meeting_id text NOT NULL,
    name text NOT NULL,
    -- "deleted" is the tombstone: no archive that arrives later changes it.
    state text NOT NULL CHECK (state IN ('published', 'unpublished', 'deleted')),
    protected boolean NOT NULL DEFAULT false,
    is_breakout boolean NOT NULL DEFAULT false,
    breakout jsonb,
    breakout_rooms text[] NOT NULL DEFAULT '{}',
    -- Milliseconds since the epoch, as everywhere in BBB's API.
    start_ms bigint NOT NULL DEFAULT 0,
    end_ms bigint NOT NULL DEFAULT 0,
    participants integer,
    raw_size bigint,
    -- What archives said, and what users said since (null: removed). Kept apart, so that no archive undoes an edit.
    imported_metadata jsonb NOT NULL DEFAULT '{}',
    edited_metadata jsonb NOT NULL DEFAULT '{}',
    metadata jsonb NOT NULL GENERATED ALWAYS AS (jsonb_strip_nulls(imported_metadata || edited_metadata)) STORED,
    -- The bytes lie in another tree than the state wants.
    move_due boolean NOT NULL DEFAULT false,
    move_not_before timestamptz,
    move_attempts integer NOT NULL DEFAULT 0,
    move_reason text NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    changed_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- Lists are newest first. Tombstones are asked for rarely and pile up: they stay out of these two.
CREATE INDEX recordings_by_meeting ON recordings (tenant_id, meeting_id, start_ms DESC, id DESC);
CREATE INDEX recordings_newest ON recordings (tenant_id, start_ms DESC, id DESC) WHERE state <> 'deleted';
CREATE INDEX recordings_by_metadata ON recordings USING gin (metadata jsonb_path_ops);
CREATE INDEX recordings_move_due ON recordings (move_not_before) WHERE move_due;

-- One row for each archive that was ever claimed, open or closed.
CREATE TABLE imports (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- As it stood in the inbox; what was not UTF-8 is escaped.
    archive text NOT NULL,
    state text NOT NULL CHECK (state IN ('working', 'waiting', 'done', 'refused')),
    -- HOST:PID:START of the process that owns it while "working"; an expired lease is anybody's.
    worker text NOT NULL,
    host text NOT NULL,
    lease_until timestamptz NOT NULL,
    -- All attempts, and those of them that the archive itself may have caused (a crash, an error nobody foresaw).
    attempts integer NOT NULL DEFAULT 1,
    faults integer NOT NULL DEFAULT 0,
    not_before timestamptz NOT NULL DEFAULT clock_timestamp(),
    reason text NOT NULL DEFAULT '',
    record_id text COLLATE "C",
    size_bytes bigint,
    sha256 text,
    arrived_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    finished_at timestamptz,
    CHECK ((state IN ('done', 'refused')) = (finished_at IS NOT NULL))
);

CREATE INDEX imports_open ON imports (not_before) WHERE state IN ('working', 'waiting');
CREATE INDEX imports_by_record ON imports (record_id);

CREATE TABLE recording_formats (
    recording bigint NOT NULL REFERENCES recordings ON DELETE CASCADE,
    format text NOT NULL CHECK (format ~ '^[a-z][a-z0-9_-]{0,31}$'),
    -- Path and query, never a host: links are built from the public URL.
    url text NOT NULL CHECK (url ~ '^/'),
    length_ms bigint NOT NULL DEFAULT 0,
    size_bytes bigint NOT NULL,
    processing_ms bigint,
    previews jsonb NOT NULL DEFAULT '[]',
    -- The tree where the bytes are, and what they are: names, sizes and contents in one digest.
    tree text NOT NULL CHECK (tree IN ('published', 'unpublished', 'deleted')),
    files integer NOT NULL,
    unpacked_bytes bigint NOT NULL,
    sha256 text NOT NULL,
    import bigint REFERENCES imports,
    imported_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (recording, format)
);
