-- What placement counts.

-- The most users that polls saw in a meeting at once: what the next meeting of its room may expect.
ALTER TABLE meetings ADD COLUMN peak_users integer NOT NULL DEFAULT 0;

-- NULL: no limit. A node that has reached a soft one is avoided while another has not, one that has reached a hard one
-- gets no new meeting. Neither keeps anybody from joining.
ALTER TABLE nodes
    ADD COLUMN soft_meetings integer CHECK (soft_meetings > 0),
    ADD COLUMN hard_meetings integer CHECK (hard_meetings > 0),
    ADD COLUMN soft_users integer CHECK (soft_users > 0),
    ADD COLUMN hard_users integer CHECK (hard_users > 0);
