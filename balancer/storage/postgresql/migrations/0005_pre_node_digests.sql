-- What the poller finds out about the signatures that a node takes.

-- Digests in which the node takes a checksum, as last tried; empty where none was tried, or none was taken.
ALTER TABLE node_observations ADD COLUMN digests text[] NOT NULL DEFAULT '{}';
