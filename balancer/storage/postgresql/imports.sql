-- Archives on their way from the spool to the trees. A worker owns the row that it claimed until its lease ends.

-- name: open
INSERT INTO imports (archive, state, worker, host, lease_until)
VALUES (%(archive)s, 'working', %(worker)s, %(host)s, clock_timestamp() + %(lease)s * interval '1 second')
RETURNING id, archive, attempts, faults, size_bytes

-- name: drop
DELETE FROM imports WHERE id = %(id)s AND worker = %(worker)s AND state = 'working'

-- name: take_up
-- The next one that is due, or whose worker on this host is gone, or whose lease has ended.
UPDATE imports i
SET state = 'working', worker = %(worker)s, host = %(host)s, attempts = i.attempts + 1,
    faults = i.faults + CASE WHEN i.state = 'working' AND i.worker <> %(worker)s THEN 1 ELSE 0 END,
    lease_until = clock_timestamp() + %(lease)s * interval '1 second'
WHERE i.id = (
    SELECT id FROM imports
    WHERE (state = 'waiting' AND not_before <= clock_timestamp())
       OR (state = 'working' AND (worker = ANY (%(gone)s) OR lease_until <= clock_timestamp()))
    ORDER BY not_before LIMIT 1 FOR UPDATE SKIP LOCKED
)
RETURNING i.id, i.archive, i.attempts, i.faults, i.size_bytes

-- name: workers
SELECT DISTINCT worker FROM imports WHERE state = 'working' AND host = %(host)s

-- name: renew
UPDATE imports SET lease_until = clock_timestamp() + %(lease)s * interval '1 second'
WHERE id = %(id)s AND worker = %(worker)s AND state = 'working'

-- name: describe
UPDATE imports SET record_id = %(record_id)s, size_bytes = %(size_bytes)s, sha256 = %(sha256)s
WHERE id = %(id)s AND worker = %(worker)s AND state = 'working'

-- name: finish
UPDATE imports SET state = %(state)s, reason = %(reason)s, finished_at = clock_timestamp()
WHERE id = %(id)s AND worker = %(worker)s AND state = 'working'

-- name: wait
UPDATE imports
SET state = 'waiting', reason = %(reason)s, size_bytes = coalesce(%(size_bytes)s, size_bytes),
    faults = faults + %(fault)s, not_before = clock_timestamp() + %(delay)s * interval '1 second'
WHERE id = %(id)s AND worker = %(worker)s AND state = 'working'

-- name: same_before
-- Whether an identical archive was imported before.
SELECT EXISTS (
    SELECT FROM imports
    WHERE record_id = %(record_id)s AND sha256 = %(sha256)s AND size_bytes = %(size_bytes)s
      AND state = 'done' AND id <> %(id)s
) AS known

-- name: states
SELECT id, state, archive, reason FROM imports WHERE id = ANY (%(ids)s)

-- name: queue
SELECT id, archive, record_id, state, host, attempts, reason, arrived_at, not_before, lease_until, finished_at
FROM imports
WHERE state IN ('working', 'waiting')
   OR (state = 'refused' AND finished_at > clock_timestamp() - %(refused_days)s * interval '1 day')
ORDER BY id DESC LIMIT %(limit)s

-- name: of_recording
SELECT id, archive, state, host, attempts, reason, size_bytes, sha256, arrived_at, finished_at
FROM imports WHERE record_id = %(record_id)s ORDER BY id
