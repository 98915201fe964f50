-- Tenants, nodes and meetings. Time is always PostgreSQL's; createTime is the node's, in milliseconds.

CREATE TABLE tenants (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL UNIQUE,
    created_at timestamptz NOT NULL DEFAULT now()
);

INSERT INTO tenants (name) VALUES ('default');

-- What the operator wants. The poller never writes here.
CREATE TABLE nodes (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL UNIQUE CHECK (name ~ '^[A-Za-z0-9][A-Za-z0-9._-]*$'),
    url text NOT NULL UNIQUE CHECK (url ~ '^https?://[^?#[:space:]]+/$'),
    secret text NOT NULL CHECK (secret <> ''),
    admin_state text NOT NULL DEFAULT 'disabled' CHECK (admin_state IN ('enabled', 'draining', 'disabled')),
    weight double precision NOT NULL DEFAULT 1 CHECK (weight > 0),
    tags text[] NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT now(),
    changed_at timestamptz NOT NULL DEFAULT now()
);

-- What was observed, written at each transition; the figures of the last poll are in Redis.
CREATE TABLE node_observations (
    node_id bigint PRIMARY KEY REFERENCES nodes ON DELETE CASCADE,
    state text NOT NULL CHECK (state IN ('online', 'suspect', 'unreachable')),
    reason text NOT NULL DEFAULT '',
    since timestamptz NOT NULL,
    bbb_version text NOT NULL DEFAULT '',
    -- The poller lease's number: an older holder never overwrites a newer one's word.
    fencing bigint NOT NULL
);

-- One row for each placement that ever was; the live one is the reservation, and an archive's tenant comes from here.
CREATE TABLE meetings (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_id bigint NOT NULL REFERENCES tenants,
    meeting_id text NOT NULL,
    -- Without a node only when that node was removed; its name stays.
    node_id bigint REFERENCES nodes ON DELETE SET NULL,
    node_name text NOT NULL,
    state text NOT NULL DEFAULT 'creating' CHECK (state IN ('creating', 'running', 'ended', 'lost')),
    internal_meeting_id text,
    create_time bigint,
    expected_users double precision NOT NULL,
    recorded boolean NOT NULL DEFAULT false,
    user_joined boolean NOT NULL DEFAULT false,
    placed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- When the node's answer to create had arrived: polls begun before know nothing of this meeting.
    created_at timestamptz,
    -- When its node took an end for it: it is listed no more, and forgotten once the node confirms.
    end_requested_at timestamptz,
    finished_at timestamptz,
    CHECK ((state IN ('creating', 'running')) = (finished_at IS NULL)),
    CHECK (state <> 'running' OR (internal_meeting_id IS NOT NULL AND created_at IS NOT NULL))
);

CREATE UNIQUE INDEX meetings_live ON meetings (tenant_id, meeting_id) WHERE state IN ('creating', 'running');
-- BBB knows nothing of tenants: two of them never share a meetingID on one node.
CREATE UNIQUE INDEX meetings_live_on_node ON meetings (node_id, meeting_id) WHERE state IN ('creating', 'running');
CREATE INDEX meetings_internal ON meetings (internal_meeting_id);
CREATE INDEX meetings_history ON meetings (tenant_id, meeting_id, id DESC);

-- Every transition with its cause: `balancer meeting trace` reads this.
CREATE TABLE meeting_events (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    meeting bigint NOT NULL REFERENCES meetings ON DELETE CASCADE,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    from_state text,
    to_state text NOT NULL,
    cause text NOT NULL
);

CREATE INDEX meeting_events_meeting ON meeting_events (meeting, id);
