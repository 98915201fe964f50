-- The whole schema, except for functions and their triggers: see ../functions. Every timestamp is PostgreSQL's time,
-- except for createTime (the node's clock) and the start and end of recordings.

CREATE TABLE tenants (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL UNIQUE,
    created_at timestamptz NOT NULL DEFAULT now()
);

INSERT INTO tenants (name) VALUES ('default');

-- What the operator declares. The poller never writes here.
CREATE TABLE nodes (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL UNIQUE CHECK (name ~ '^[A-Za-z0-9][A-Za-z0-9._-]*$'),
    url text NOT NULL UNIQUE CHECK (url ~ '^https?://[^?#[:space:]]+/$'),
    secret text NOT NULL CHECK (secret <> ''),
    admin_state text NOT NULL DEFAULT 'disabled' CHECK (admin_state IN ('enabled', 'draining', 'disabled')),
    weight double precision NOT NULL DEFAULT 1 CHECK (weight > 0),
    tags text[] NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT now(),
    changed_at timestamptz NOT NULL DEFAULT now(),
    -- NULL: no limit. A node that has reached a soft limit is avoided while another has not; one that has reached a
    -- hard limit gets no new meeting. Neither keeps users from joining.
    soft_meetings integer CHECK (soft_meetings > 0),
    hard_meetings integer CHECK (hard_meetings > 0),
    soft_users integer CHECK (soft_users > 0),
    hard_users integer CHECK (hard_users > 0)
);

-- What polls observed, written at each transition. The figures of the last poll are in Redis.
CREATE TABLE node_observations (
    node_id bigint PRIMARY KEY REFERENCES nodes ON DELETE CASCADE,
    state text NOT NULL CHECK (state IN ('online', 'suspect', 'unreachable')),
    reason text NOT NULL DEFAULT '',
    since timestamptz NOT NULL,
    bbb_version text NOT NULL DEFAULT '',
    -- Number of the poller's lease: a process that held the lease earlier must not overwrite a later holder's
    -- observation.
    fencing bigint NOT NULL,
    -- Digests in which the node accepts a checksum, as last tried. Empty if none was tried or none was accepted.
    digests text[] NOT NULL DEFAULT '{}'
);

-- How many meetings were ever placed on a node. A placement that was chosen without the lock is valid only if this is
-- still what it read.
CREATE TABLE node_placements (
    node_id bigint PRIMARY KEY REFERENCES nodes ON DELETE CASCADE,
    placements bigint NOT NULL
);

-- One row for each placement that ever was. The live row (creating or running) is the reservation of its meetingID. An
-- archive's tenant is looked up here, so rows are never deleted.
CREATE TABLE meetings (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_id bigint NOT NULL REFERENCES tenants,
    meeting_id text NOT NULL,
    -- NULL only if the node was removed; its name stays.
    node_id bigint REFERENCES nodes ON DELETE SET NULL,
    node_name text NOT NULL,
    state text NOT NULL DEFAULT 'creating' CHECK (state IN ('creating', 'running', 'ended', 'lost')),
    -- Why the row is as it is. A statement that changes the state sets this too; a trigger records both in
    -- meeting_events.
    cause text NOT NULL DEFAULT 'placed',
    internal_meeting_id text,
    create_time bigint,
    expected_users double precision NOT NULL,
    recorded boolean NOT NULL DEFAULT false,
    user_joined boolean NOT NULL DEFAULT false,
    -- The most users that polls saw at once: what the next meeting of this room may expect.
    peak_users integer NOT NULL DEFAULT 0,
    placed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- When the node's answer to create had arrived. A poll that began earlier proves nothing about this meeting.
    created_at timestamptz,
    -- When the node accepted an end. The meeting is no longer listed, and is forgotten once the node confirms the end.
    end_requested_at timestamptz,
    finished_at timestamptz,
    CHECK ((state IN ('creating', 'running')) = (finished_at IS NULL)),
    CHECK (state <> 'running' OR (internal_meeting_id IS NOT NULL AND created_at IS NOT NULL))
);

CREATE UNIQUE INDEX meetings_live ON meetings (tenant_id, meeting_id) WHERE state IN ('creating', 'running');
-- BBB knows nothing of tenants: two of them must never share a meetingID on one node.
CREATE UNIQUE INDEX meetings_live_on_node ON meetings (node_id, meeting_id) WHERE state IN ('creating', 'running');
-- A meeting on a node belongs to one row for ever.
CREATE UNIQUE INDEX meetings_internal_on_node ON meetings (internal_meeting_id, node_id);
-- Placement counts what no poll has seen yet, and avoids nodes that have another tenant's meeting of the same ID. With
-- these two it takes as long beside thousands of live rows, and millions of finished ones, as beside none.
CREATE INDEX meetings_live_by_age ON meetings (created_at) WHERE state IN ('creating', 'running');
CREATE INDEX meetings_by_id ON meetings (meeting_id, tenant_id, id DESC);
-- Each poll reads the node's lost meetings, which are few: some return with their node, and some were left over by a
-- create that timed out.
CREATE INDEX meetings_lost_on_node ON meetings (node_id) WHERE state = 'lost';

-- Every transition with its cause, for `balancer meeting trace`. Written by the trigger of
-- functions/record_meeting_event.sql.
CREATE TABLE meeting_events (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    meeting bigint NOT NULL REFERENCES meetings ON DELETE CASCADE,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    from_state text,
    to_state text NOT NULL,
    cause text NOT NULL
);

CREATE INDEX meeting_events_meeting ON meeting_events (meeting, id);

-- Fencing numbers of the leases in Redis. They come from here, because a wiped Redis must not make them smaller.
CREATE SEQUENCE lease_fencing AS bigint;

-- Recordings. The row decides at once whether a recording is published, protected or deleted; its files follow.
CREATE TABLE recordings (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- COLLATE "C" makes a search for the beginning of a recordID a plain range of the unique index.
    record_id text COLLATE "C" NOT NULL UNIQUE CHECK (record_id ~ '^[0-9a-f]{1,64}-[0-9]{1,20}$'),
    tenant_id bigint NOT NULL REFERENCES tenants,
    -- No row of ours is known for its meeting. It is the default tenant's until an operator or a later archive says
    -- more.
    tenant_assumed boolean NOT NULL DEFAULT false,
    meeting_id text NOT NULL,
    name text NOT NULL,
    -- A "deleted" row is a tombstone: no archive that arrives later changes it.
    state text NOT NULL CHECK (state IN ('published', 'unpublished', 'deleted')),
    protected boolean NOT NULL DEFAULT false,
    is_breakout boolean NOT NULL DEFAULT false,
    breakout jsonb,
    breakout_rooms text[] NOT NULL DEFAULT '{}',
    -- Milliseconds since 1970, as everywhere in BBB's API.
    start_ms bigint NOT NULL DEFAULT 0,
    end_ms bigint NOT NULL DEFAULT 0,
    participants integer,
    raw_size bigint,
    -- What archives said, and what users changed since (null: removed). Kept apart, so that no archive undoes an edit.
    imported_metadata jsonb NOT NULL DEFAULT '{}',
    edited_metadata jsonb NOT NULL DEFAULT '{}',
    metadata jsonb NOT NULL GENERATED ALWAYS AS (jsonb_strip_nulls(imported_metadata || edited_metadata)) STORED,
    -- Whether the files are still in another tree than the state says.
    move_due boolean NOT NULL DEFAULT false,
    move_not_before timestamptz,
    move_attempts integer NOT NULL DEFAULT 0,
    move_reason text NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    changed_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- Lists are newest first. The state is included so that a page need not read the rows that it skips, tombstones among
-- them.
CREATE INDEX recordings_listed ON recordings (tenant_id, start_ms DESC, id DESC) INCLUDE (state);
CREATE INDEX recordings_by_meeting ON recordings (tenant_id, meeting_id, start_ms DESC, id DESC);
-- Imports are rare and filters are not: with fastupdate each search would also read the entries that are not sorted in
-- yet.
CREATE INDEX recordings_by_metadata ON recordings USING gin (metadata jsonb_path_ops) WITH (fastupdate = off);
CREATE INDEX recordings_move_due ON recordings (move_not_before) WHERE move_due;

-- How many recordings a tenant has in each state, because counting a million rows takes 0.2 s. Each row is a change and
-- the total is their sum, so that transactions that change recordings at the same time never wait for each other.
-- Written by the triggers of functions/note_recording_totals.sql.
CREATE TABLE recording_totals (
    -- The IDs of a tenant's rows show whether its recordings changed since they were last read: while they are the
    -- same, a cached count is still right.
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL REFERENCES tenants,
    state text NOT NULL,
    change bigint NOT NULL
);

CREATE INDEX recording_totals_of ON recording_totals (tenant_id, state);

-- One row for each archive that was ever claimed, open or closed.
CREATE TABLE imports (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- Its name in the inbox; bytes that are not UTF-8 are escaped.
    archive text NOT NULL,
    state text NOT NULL CHECK (state IN ('working', 'waiting', 'done', 'refused')),
    -- HOST:PID:START of the process that owns it while "working". Once the lease has expired, any process may take it.
    worker text NOT NULL,
    host text NOT NULL,
    lease_until timestamptz NOT NULL,
    -- All attempts, and those that the archive itself may have made fail (a crash, an unforeseen error).
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
    -- Path and query without a host: links are built from the public URL.
    url text NOT NULL CHECK (url ~ '^/'),
    length_ms bigint NOT NULL DEFAULT 0,
    size_bytes bigint NOT NULL,
    processing_ms bigint,
    previews jsonb NOT NULL DEFAULT '[]',
    -- The tree that holds the files, and one digest of their names, sizes and contents.
    tree text NOT NULL CHECK (tree IN ('published', 'unpublished', 'deleted')),
    files integer NOT NULL,
    unpacked_bytes bigint NOT NULL,
    sha256 text NOT NULL,
    import bigint REFERENCES imports,
    imported_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (recording, format)
);
