-- What the poller needs.

-- Fencing numbers of the leases in Redis. They come from here, so that a wiped Redis never lowers them.
CREATE SEQUENCE lease_fencing AS bigint;

-- Each poll asks for the node's lost meetings, which are few: some return with their node, some were left over by a
-- create that timed out.
CREATE INDEX meetings_lost_on_node ON meetings (node_id) WHERE state = 'lost';
