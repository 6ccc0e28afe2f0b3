-- Limits and alerts over what was counted. filters, channels: JSON arrays.
CREATE TABLE threshold (
  id TEXT COLLATE "C" PRIMARY KEY NOT NULL,
  account_id BIGINT NOT NULL,
  kind TEXT COLLATE "C" NOT NULL,
  name TEXT COLLATE "C" NOT NULL,
  description TEXT COLLATE "C" NOT NULL,
  metric TEXT COLLATE "C" NOT NULL,
  comparator TEXT COLLATE "C" NOT NULL,
  bound TEXT COLLATE "C" NOT NULL,
  dimension TEXT COLLATE "C" NOT NULL,
  period TEXT COLLATE "C" NOT NULL,
  filters TEXT COLLATE "C" NOT NULL,
  channels TEXT COLLATE "C" NOT NULL,
  created_ms BIGINT NOT NULL,
  updated_ms BIGINT NOT NULL,
  checked_ms BIGINT NOT NULL,
  UNIQUE (account_id, kind, name)
);
CREATE INDEX threshold_by_check ON threshold (checked_ms);

-- Each time that one was reached. latest: a decimal number.
CREATE TABLE threshold_hit (
  id TEXT COLLATE "C" PRIMARY KEY NOT NULL,
  account_id BIGINT NOT NULL,
  threshold_id TEXT COLLATE "C" NOT NULL,
  kind TEXT COLLATE "C" NOT NULL,
  name TEXT COLLATE "C" NOT NULL,
  metric TEXT COLLATE "C" NOT NULL,
  comparator TEXT COLLATE "C" NOT NULL,
  bound TEXT COLLATE "C" NOT NULL,
  dimension TEXT COLLATE "C" NOT NULL,
  dimension_value TEXT COLLATE "C" NOT NULL,
  latest TEXT COLLATE "C" NOT NULL,
  created_ms BIGINT NOT NULL,
  updated_ms BIGINT NOT NULL,
  expires_ms BIGINT NOT NULL
);
CREATE INDEX threshold_hit_by_account ON threshold_hit (account_id, created_ms);
CREATE INDEX threshold_hit_by_threshold ON threshold_hit (threshold_id, dimension_value, expires_ms);
