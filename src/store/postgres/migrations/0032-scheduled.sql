-- Its message's domain, of a recipient that was accepted for a time to come: what is scheduled is listed by domain and time.
ALTER TABLE recipient ADD COLUMN scheduled_domain BIGINT;
UPDATE recipient r SET scheduled_domain = m.domain_id FROM message m WHERE m.id = r.message AND r.state = 0 AND r.wait = 'scheduled';
CREATE INDEX recipient_scheduled ON recipient (scheduled_domain, due_ms, id) WHERE state = 0 AND wait = 'scheduled';
