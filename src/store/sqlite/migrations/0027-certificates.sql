-- Certificates of hosts that lead here. private_key: sealed. domain_id 0: the installation's own name.
CREATE TABLE certificate (
  name TEXT PRIMARY KEY NOT NULL,
  domain_id INTEGER NOT NULL,
  chain TEXT NOT NULL DEFAULT '',
  private_key BLOB NOT NULL DEFAULT x'',
  not_before_ms INTEGER NOT NULL DEFAULT 0,
  not_after_ms INTEGER NOT NULL DEFAULT 0,
  due_ms INTEGER NOT NULL,
  held_until_ms INTEGER NOT NULL DEFAULT 0,
  epoch INTEGER NOT NULL DEFAULT 0,
  tried_ms INTEGER NOT NULL DEFAULT 0,
  failures INTEGER NOT NULL DEFAULT 0,
  error TEXT NOT NULL DEFAULT '',
  created_ms INTEGER NOT NULL
);
CREATE INDEX certificate_by_due ON certificate (due_ms);

-- Our account at each authority, and when the next order may be placed there.
CREATE TABLE acme_account (
  directory TEXT PRIMARY KEY NOT NULL,
  private_key BLOB NOT NULL DEFAULT x'',
  next_order_ms INTEGER NOT NULL DEFAULT 0
);

-- What an authority that looks is to find here.
CREATE TABLE acme_challenge (
  token TEXT PRIMARY KEY NOT NULL,
  answer TEXT NOT NULL,
  until_ms INTEGER NOT NULL
) WITHOUT ROWID;
