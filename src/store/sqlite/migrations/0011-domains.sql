-- What the owner of a domain chose, what DNS answered about it, and what was deleted.

-- JSON: only what is not as by default.
ALTER TABLE domain ADD COLUMN settings TEXT NOT NULL DEFAULT '{}';
-- JSON: what the last look found of each record; checked_ms: when that was.
ALTER TABLE domain ADD COLUMN dns TEXT NOT NULL DEFAULT '{}';
ALTER TABLE domain ADD COLUMN checked_ms INTEGER NOT NULL DEFAULT 0;
-- A deleted domain stays as a row, for the mail that it has queued and the events that it had. Its name is free: deleted_name keeps what it was.
ALTER TABLE domain ADD COLUMN deleted_name TEXT;
ALTER TABLE domain ADD COLUMN deleted_ms INTEGER;
ALTER TABLE domain ADD COLUMN is_purged INTEGER NOT NULL DEFAULT 0;
CREATE INDEX domain_by_check ON domain (checked_ms) WHERE deleted_ms IS NULL;
CREATE INDEX domain_deleted ON domain (deleted_ms) WHERE deleted_ms IS NOT NULL AND is_purged = 0;

-- When it was last told to sign: of several of one algorithm the latest signs.
ALTER TABLE dkim_key ADD COLUMN active_ms INTEGER NOT NULL DEFAULT 0;

-- Addresses that mail leaves from, by the account's own choice. ips: JSON array of addresses.
CREATE TABLE ip_pool (
  id TEXT PRIMARY KEY,
  account_id INTEGER NOT NULL REFERENCES account (id),
  name TEXT NOT NULL,
  description TEXT NOT NULL,
  ips TEXT NOT NULL,
  created_ms INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX ip_pool_by_account ON ip_pool (account_id, id);

-- A pool that another account uses where its domains have none of their own.
CREATE TABLE ip_pool_lent (
  account_id INTEGER PRIMARY KEY REFERENCES account (id),
  pool_id TEXT NOT NULL
);
