-- Adds to recording_totals what a statement changed in a tenant's recordings.

CREATE OR REPLACE FUNCTION note_recording_totals() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO recording_totals (tenant_id, state, change)
        SELECT tenant_id, state, count(*) FROM after GROUP BY tenant_id, state;
    ELSIF TG_OP = 'DELETE' THEN
        INSERT INTO recording_totals (tenant_id, state, change)
        SELECT tenant_id, state, -count(*) FROM before GROUP BY tenant_id, state;
    ELSE
        -- A change that no filter can see adds no row. A change that leaves the totals as they are, such as another
        -- title, adds a row with 0.
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

CREATE OR REPLACE TRIGGER recordings_added AFTER INSERT ON recordings
    REFERENCING NEW TABLE AS after FOR EACH STATEMENT EXECUTE FUNCTION note_recording_totals();
CREATE OR REPLACE TRIGGER recordings_changed AFTER UPDATE ON recordings
    REFERENCING OLD TABLE AS before NEW TABLE AS after FOR EACH STATEMENT EXECUTE FUNCTION note_recording_totals();
CREATE OR REPLACE TRIGGER recordings_removed AFTER DELETE ON recordings
    REFERENCING OLD TABLE AS before FOR EACH STATEMENT EXECUTE FUNCTION note_recording_totals();
