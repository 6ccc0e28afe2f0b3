-- Its message's domain, of a recipient that was accepted for a time to come: what is scheduled is listed by domain and time.
ALTER TABLE recipient ADD COLUMN scheduled_domain INTEGER;
UPDATE recipient SET scheduled_domain = (SELECT domain_id FROM message m WHERE m.id = recipient.message) WHERE state = 0 AND wait = 'scheduled';
CREATE INDEX recipient_scheduled ON recipient (scheduled_domain, due_ms, id) WHERE state = 0 AND wait = 'scheduled';
