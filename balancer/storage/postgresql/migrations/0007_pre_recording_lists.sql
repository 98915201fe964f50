-- Any page of recordings from an index alone. Writing recordings waits while it is made, 1 to 2 s a million of them;
-- reading goes on. By itself, since whoever has others wait may wait for none of them. Where a transaction of somebody's
-- will not end it fails after 3 s, instead of holding up everybody else: run again.
SET LOCAL lock_timeout = '3s';

-- With the state in it, recordings that a page passes over need not be looked at. Tombstones are in it too, so that
-- pages of them or of all states are no other matter; it replaces recordings_newest.
CREATE INDEX recordings_listed ON recordings (tenant_id, start_ms DESC, id DESC) INCLUDE (state);
