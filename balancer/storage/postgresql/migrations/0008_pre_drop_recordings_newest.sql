-- Lists are made from recordings_listed now. For a moment nobody may be reading recordings: by itself, so that it never
-- happens while the index is made. An importer on a share that hangs does read for long: then it fails after 3 s, instead
-- of holding up every list: run again.
SET LOCAL lock_timeout = '3s';

DROP INDEX recordings_newest;

-- Imports are rare, filters are not: no list of entries still to be sorted in, which every search had to read.
ALTER INDEX recordings_by_metadata SET (fastupdate = off);
SELECT gin_clean_pending_list('recordings_by_metadata');
