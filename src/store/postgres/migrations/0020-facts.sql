-- event: what the entry tells; 0: none. Of one account and server, entries with the same target, message and recipient are told one after another: the earliest has a time
-- when it is due, and the later ones the last time that there is (outbox-store.ts) until it is done with.
ALTER TABLE outbox ADD COLUMN event BIGINT NOT NULL DEFAULT 0;
CREATE INDEX outbox_by_recipient ON outbox (message, recipient);
-- Many are due at one time, when they are told again.
DROP INDEX outbox_due;
CREATE INDEX outbox_due ON outbox (endpoint, due_ms, id);

-- What counts once for a recipient: keys of facts, and which kinds of events it has had. Of a message, where the key says so, recipient is the message. Rows go by
-- stretches of the table, which are in the order of time.
CREATE TABLE fact_once (
  recipient BIGINT NOT NULL,
  at_ms BIGINT NOT NULL,
  key TEXT COLLATE "C" NOT NULL,
  PRIMARY KEY (recipient, key)
);
CREATE INDEX fact_once_by_age ON fact_once USING brin (at_ms);
