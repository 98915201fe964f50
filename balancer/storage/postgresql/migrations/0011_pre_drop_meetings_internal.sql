-- meetings_internal_on_node does its work. By itself: a create that waits for the index above to be made would wait for
-- this, and this for the create.
SET LOCAL lock_timeout = '3s';

DROP INDEX meetings_internal;
