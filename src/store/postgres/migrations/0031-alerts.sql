-- Who is told of what concerns an account. targets: JSON array of a URL, or of addresses.
CREATE TABLE alert_setting (
  id TEXT COLLATE "C" PRIMARY KEY NOT NULL,
  account_id BIGINT NOT NULL,
  event_type TEXT COLLATE "C" NOT NULL,
  channel TEXT COLLATE "C" NOT NULL,
  targets TEXT COLLATE "C" NOT NULL,
  created_ms BIGINT NOT NULL
);
CREATE INDEX alert_setting_by_account ON alert_setting (account_id, created_ms);

-- What alerts are signed with, sealed.
CREATE TABLE alert_key (
  account_id BIGINT PRIMARY KEY,
  sealed TEXT COLLATE "C" NOT NULL
);

-- What is yet to be told.
CREATE TABLE alert_post (
  id TEXT COLLATE "C" PRIMARY KEY NOT NULL,
  account_id BIGINT NOT NULL,
  event_type TEXT COLLATE "C" NOT NULL,
  channel TEXT COLLATE "C" NOT NULL,
  target TEXT COLLATE "C" NOT NULL,
  payload TEXT COLLATE "C" NOT NULL,
  created_ms BIGINT NOT NULL,
  due_ms BIGINT NOT NULL,
  attempts INTEGER NOT NULL
);
CREATE INDEX alert_post_by_due ON alert_post (due_ms);
CREATE INDEX alert_post_by_account ON alert_post (account_id);
