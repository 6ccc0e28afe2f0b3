-- What servers outside are to be told over HTTP. An entry goes when it was told or given up.

-- Entries that wait together: one account and receiving server. look_ms: when its earliest entry is due, or parked_ms when that is later. A row goes when a
-- look finds that it has no entries.
CREATE TABLE outbox_endpoint (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  account_id INTEGER NOT NULL,
  name TEXT NOT NULL,
  look_ms INTEGER NOT NULL,
  parked_ms INTEGER NOT NULL DEFAULT 0,
  UNIQUE (account_id, name)
);
CREATE INDEX outbox_endpoint_due ON outbox_endpoint (look_ms);

-- due_ms: when it is to be tried; of one that is leased, when its lease ends. Ids are told to receivers, who know a repeat by them.
CREATE TABLE outbox (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  kind TEXT NOT NULL,
  endpoint INTEGER NOT NULL,
  account_id INTEGER NOT NULL,
  domain_id INTEGER NOT NULL,
  message INTEGER NOT NULL,
  recipient INTEGER NOT NULL,
  target TEXT NOT NULL,
  payload TEXT NOT NULL,
  created_ms INTEGER NOT NULL,
  due_ms INTEGER NOT NULL,
  attempts INTEGER NOT NULL DEFAULT 0,
  epoch INTEGER NOT NULL DEFAULT 0,
  is_leased INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX outbox_due ON outbox (endpoint, due_ms);
CREATE INDEX outbox_leased ON outbox (due_ms) WHERE is_leased = 1;
CREATE INDEX outbox_by_age ON outbox (created_ms);
