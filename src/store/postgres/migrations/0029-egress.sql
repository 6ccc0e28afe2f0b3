-- Addresses that are being warmed up. plan, history: JSON arrays.
CREATE TABLE warm_up (
  address TEXT COLLATE "C" PRIMARY KEY NOT NULL,
  plan TEXT COLLATE "C" NOT NULL,
  stage INTEGER NOT NULL,
  started_ms BIGINT NOT NULL,
  stage_started_ms BIGINT NOT NULL,
  updated_ms BIGINT NOT NULL,
  history TEXT COLLATE "C" NOT NULL
);

-- Pools whose domains are chosen by how their mail fares. pools: JSON, the addresses of each band.
CREATE TABLE dynamic_pool (
  owner_id BIGINT PRIMARY KEY,
  pools TEXT COLLATE "C" NOT NULL
);

-- Rates: decimal numbers.
CREATE TABLE dynamic_domain (
  domain_id BIGINT PRIMARY KEY,
  account_id BIGINT NOT NULL,
  owner_id BIGINT NOT NULL,
  enrolled_ms BIGINT NOT NULL,
  band TEXT COLLATE "C" NOT NULL,
  is_overridden SMALLINT NOT NULL,
  processed BIGINT NOT NULL,
  bounce_rate TEXT COLLATE "C" NOT NULL,
  complaint_rate TEXT COLLATE "C" NOT NULL,
  checked_ms BIGINT NOT NULL
);
CREATE INDEX dynamic_domain_by_owner ON dynamic_domain (owner_id, domain_id);
CREATE INDEX dynamic_domain_by_check ON dynamic_domain (checked_ms);

-- Each time that a domain came to another band.
CREATE TABLE dynamic_move (
  id TEXT COLLATE "C" PRIMARY KEY NOT NULL,
  owner_id BIGINT NOT NULL,
  account_id BIGINT NOT NULL,
  domain_id BIGINT NOT NULL,
  domain_name TEXT COLLATE "C" NOT NULL,
  from_band TEXT COLLATE "C" NOT NULL,
  to_band TEXT COLLATE "C" NOT NULL,
  reason TEXT COLLATE "C" NOT NULL,
  initiated_by TEXT COLLATE "C" NOT NULL,
  processed BIGINT NOT NULL,
  bounce_rate TEXT COLLATE "C" NOT NULL,
  complaint_rate TEXT COLLATE "C" NOT NULL,
  at_ms BIGINT NOT NULL
);
CREATE INDEX dynamic_move_by_owner ON dynamic_move (owner_id, at_ms);
