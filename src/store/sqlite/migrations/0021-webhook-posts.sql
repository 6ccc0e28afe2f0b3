-- Every attempt to tell a webhook something, with what an entry of the outbox is made of again. url: as it was called. endpoint: of the entry. kind: of the event.
-- result: 1 done, 2 deferred, 3 failed. status: of the answer; 0: there was none. Rows go by their age.
CREATE TABLE webhook_post (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  account_id INTEGER NOT NULL,
  domain_id INTEGER NOT NULL,
  event INTEGER NOT NULL,
  message INTEGER NOT NULL,
  recipient INTEGER NOT NULL,
  kind INTEGER NOT NULL,
  url TEXT NOT NULL,
  endpoint TEXT NOT NULL,
  payload TEXT NOT NULL,
  at_ms INTEGER NOT NULL,
  number INTEGER NOT NULL,
  result INTEGER NOT NULL,
  status INTEGER NOT NULL,
  took_ms INTEGER NOT NULL,
  error TEXT NOT NULL,
  response TEXT NOT NULL
);
CREATE INDEX webhook_post_by_account ON webhook_post (account_id, at_ms, id);
CREATE INDEX webhook_post_failed ON webhook_post (account_id, at_ms, id) WHERE result = 3;
