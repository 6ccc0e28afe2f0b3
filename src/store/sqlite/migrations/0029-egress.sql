-- Addresses that are being warmed up. plan, history: JSON arrays.
CREATE TABLE warm_up (
  address TEXT PRIMARY KEY NOT NULL,
  plan TEXT NOT NULL,
  stage INTEGER NOT NULL,
  started_ms INTEGER NOT NULL,
  stage_started_ms INTEGER NOT NULL,
  updated_ms INTEGER NOT NULL,
  history TEXT NOT NULL
) WITHOUT ROWID;

-- Pools whose domains are chosen by how their mail fares. pools: JSON, the addresses of each band.
CREATE TABLE dynamic_pool (
  owner_id INTEGER PRIMARY KEY,
  pools TEXT NOT NULL
);

-- Rates: decimal numbers.
CREATE TABLE dynamic_domain (
  domain_id INTEGER PRIMARY KEY,
  account_id INTEGER NOT NULL,
  owner_id INTEGER NOT NULL,
  enrolled_ms INTEGER NOT NULL,
  band TEXT NOT NULL,
  is_overridden INTEGER NOT NULL,
  processed INTEGER NOT NULL,
  bounce_rate TEXT NOT NULL,
  complaint_rate TEXT NOT NULL,
  checked_ms INTEGER NOT NULL
);
CREATE INDEX dynamic_domain_by_owner ON dynamic_domain (owner_id, domain_id);
CREATE INDEX dynamic_domain_by_check ON dynamic_domain (checked_ms);

-- Each time that a domain came to another band.
CREATE TABLE dynamic_move (
  id TEXT PRIMARY KEY NOT NULL,
  owner_id INTEGER NOT NULL,
  account_id INTEGER NOT NULL,
  domain_id INTEGER NOT NULL,
  domain_name TEXT NOT NULL,
  from_band TEXT NOT NULL,
  to_band TEXT NOT NULL,
  reason TEXT NOT NULL,
  initiated_by TEXT NOT NULL,
  processed INTEGER NOT NULL,
  bounce_rate TEXT NOT NULL,
  complaint_rate TEXT NOT NULL,
  at_ms INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX dynamic_move_by_owner ON dynamic_move (owner_id, at_ms);
