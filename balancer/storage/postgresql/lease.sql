-- name: next_fencing
-- A number greater than any that was given out before.
SELECT nextval('lease_fencing') AS fencing
