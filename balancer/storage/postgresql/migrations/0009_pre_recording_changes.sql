-- Counts of recordings that can be kept.
SET LOCAL lock_timeout = '3s';

-- The ledger's rows of a tenant tell by their numbers whether anything changed in its recordings since they were read
-- last: what was counted then holds as long as they are the same.
ALTER TABLE recording_totals ADD COLUMN id bigint GENERATED ALWAYS AS IDENTITY;

CREATE OR REPLACE FUNCTION note_recording_totals() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO recording_totals (tenant_id, state, change)
        SELECT tenant_id, state, count(*) FROM after GROUP BY tenant_id, state;
    ELSIF TG_OP = 'DELETE' THEN
        INSERT INTO recording_totals (tenant_id, state, change)
        SELECT tenant_id, state, -count(*) FROM before GROUP BY tenant_id, state;
    ELSE
        -- What no filter sees leaves no row; what changes no total, such as a title, leaves a row with 0.
        INSERT INTO recording_totals (tenant_id, state, change)
        SELECT tenant_id, state, sum(change) FROM (
            SELECT tenant_id, state, 1 AS change FROM (
                SELECT tenant_id, state, record_id, meeting_id, metadata FROM after
                EXCEPT SELECT tenant_id, state, record_id, meeting_id, metadata FROM before
            ) AS came
            UNION ALL
            SELECT tenant_id, state, -1 FROM (
                SELECT tenant_id, state, record_id, meeting_id, metadata FROM before
                EXCEPT SELECT tenant_id, state, record_id, meeting_id, metadata FROM after
            ) AS went
        ) AS changes
        GROUP BY tenant_id, state;
    END IF;
    RETURN NULL;
END
$$;
