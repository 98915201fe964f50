-- A meeting on a node belongs to one row for ever. Holds up creates while it runs: a second or two for each million of
-- meetings that there ever were. By itself it waits no longer than 3 s, so that a long transaction holds up nobody: run
-- again then.
SET LOCAL lock_timeout = '3s';

CREATE UNIQUE INDEX meetings_internal_on_node ON meetings (internal_meeting_id, node_id);
DROP INDEX meetings_internal;
