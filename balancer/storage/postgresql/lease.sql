-- name: next_fencing
-- A number greater than all earlier ones.
SELECT nextval('lease_fencing') AS fencing
