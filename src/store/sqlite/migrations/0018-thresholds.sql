-- Limits and alerts over what was counted. filters, channels: JSON arrays.
CREATE TABLE threshold (
  id TEXT PRIMARY KEY NOT NULL,
  account_id INTEGER NOT NULL,
  kind TEXT NOT NULL,
  name TEXT NOT NULL,
  description TEXT NOT NULL,
  metric TEXT NOT NULL,
  comparator TEXT NOT NULL,
  bound TEXT NOT NULL,
  dimension TEXT NOT NULL,
  period TEXT NOT NULL,
  filters TEXT NOT NULL,
  channels TEXT NOT NULL,
  created_ms INTEGER NOT NULL,
  updated_ms INTEGER NOT NULL,
  checked_ms INTEGER NOT NULL,
  UNIQUE (account_id, kind, name)
);
CREATE INDEX threshold_by_check ON threshold (checked_ms);

-- Each time that one was reached. latest: a decimal number.
CREATE TABLE threshold_hit (
  id TEXT PRIMARY KEY NOT NULL,
  account_id INTEGER NOT NULL,
  threshold_id TEXT NOT NULL,
  kind TEXT NOT NULL,
  name TEXT NOT NULL,
  metric TEXT NOT NULL,
  comparator TEXT NOT NULL,
  bound TEXT NOT NULL,
  dimension TEXT NOT NULL,
  dimension_value TEXT NOT NULL,
  latest TEXT NOT NULL,
  created_ms INTEGER NOT NULL,
  updated_ms INTEGER NOT NULL,
  expires_ms INTEGER NOT NULL
);
CREATE INDEX threshold_hit_by_account ON threshold_hit (account_id, created_ms);
CREATE INDEX threshold_hit_by_threshold ON threshold_hit (threshold_id, dimension_value, expires_ms);
