-- Fencing numbers of the leases in Redis. They come from here, so that a wiped Redis never lowers them.

CREATE SEQUENCE lease_fencing AS bigint;
