-- meetings_by_id does its work. By itself: see 0011.
SET LOCAL lock_timeout = '3s';

DROP INDEX meetings_history;
