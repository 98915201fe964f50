-- A meeting on a node belongs to one row for ever. Holds up creates while it runs: a second or two for each million of
-- meetings that there ever were. Where a long transaction holds the table it fails after 3 s, instead of holding up
-- everybody else: run again.
SET LOCAL lock_timeout = '3s';

CREATE UNIQUE INDEX meetings_internal_on_node ON meetings (internal_meeting_id, node_id);
