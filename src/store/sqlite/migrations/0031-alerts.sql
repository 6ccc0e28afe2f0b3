-- Who is told of what concerns an account. targets: JSON array of a URL, or of addresses.
CREATE TABLE alert_setting (
  id TEXT PRIMARY KEY NOT NULL,
  account_id INTEGER NOT NULL,
  event_type TEXT NOT NULL,
  channel TEXT NOT NULL,
  targets TEXT NOT NULL,
  created_ms INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX alert_setting_by_account ON alert_setting (account_id, created_ms);

-- What alerts are signed with, sealed.
CREATE TABLE alert_key (
  account_id INTEGER PRIMARY KEY,
  sealed TEXT NOT NULL
);

-- What is yet to be told.
CREATE TABLE alert_post (
  id TEXT PRIMARY KEY NOT NULL,
  account_id INTEGER NOT NULL,
  event_type TEXT NOT NULL,
  channel TEXT NOT NULL,
  target TEXT NOT NULL,
  payload TEXT NOT NULL,
  created_ms INTEGER NOT NULL,
  due_ms INTEGER NOT NULL,
  attempts INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX alert_post_by_due ON alert_post (due_ms);
CREATE INDEX alert_post_by_account ON alert_post (account_id);
