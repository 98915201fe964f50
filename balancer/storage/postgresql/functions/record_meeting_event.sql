-- Writes each transition of a meeting into meeting_events, so that no statement that makes one has to.

CREATE OR REPLACE FUNCTION record_meeting_event() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO meeting_events (meeting, from_state, to_state, cause)
    VALUES (NEW.id, CASE WHEN TG_OP = 'UPDATE' THEN OLD.state END, NEW.state, NEW.cause);
    RETURN NULL;
END
$$;

CREATE OR REPLACE TRIGGER meetings_inserted AFTER INSERT ON meetings
    FOR EACH ROW EXECUTE FUNCTION record_meeting_event();
-- An end that a node accepts changes no state, but belongs in the history each time.
CREATE OR REPLACE TRIGGER meetings_changed AFTER UPDATE ON meetings
    FOR EACH ROW
    WHEN ((OLD.state, OLD.cause, OLD.end_requested_at) IS DISTINCT FROM (NEW.state, NEW.cause, NEW.end_requested_at))
    EXECUTE FUNCTION record_meeting_event();
