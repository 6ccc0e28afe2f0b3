-- Accounts may have subaccounts. closed_ms: it is closed for good. features, settings: JSON. signing_key: sealed with the instance's secret, in base64.
ALTER TABLE account ADD COLUMN parent_id INTEGER REFERENCES account (id);
ALTER TABLE account ADD COLUMN updated_ms INTEGER NOT NULL DEFAULT 0;
ALTER TABLE account ADD COLUMN closed_ms INTEGER;
ALTER TABLE account ADD COLUMN disabled_reason TEXT NOT NULL DEFAULT '';
ALTER TABLE account ADD COLUMN features TEXT NOT NULL DEFAULT '{}';
ALTER TABLE account ADD COLUMN settings TEXT NOT NULL DEFAULT '{}';
ALTER TABLE account ADD COLUMN signing_key TEXT;
CREATE INDEX account_by_parent ON account (parent_id) WHERE parent_id IS NOT NULL;

-- requestor: who made it. user_id: whose it is; it ends with them.
ALTER TABLE api_key ADD COLUMN user_name TEXT NOT NULL DEFAULT '';
ALTER TABLE api_key ADD COLUMN requestor TEXT NOT NULL DEFAULT '';
ALTER TABLE api_key ADD COLUMN user_id INTEGER;
ALTER TABLE api_key ADD COLUMN last_used_ms INTEGER;
CREATE INDEX api_key_by_account ON api_key (account_id);

-- is_system: it is deleted only with its domain.
ALTER TABLE credential ADD COLUMN is_system INTEGER NOT NULL DEFAULT 0;
ALTER TABLE credential ADD COLUMN is_disabled INTEGER NOT NULL DEFAULT 0;

ALTER TABLE account_limit ADD COLUMN recipients_per_month INTEGER;

-- People of an account. is_master: the account's own.
CREATE TABLE account_user (
  id INTEGER PRIMARY KEY,
  account_id INTEGER NOT NULL REFERENCES account (id),
  email TEXT NOT NULL,
  name TEXT NOT NULL,
  role TEXT NOT NULL,
  is_disabled INTEGER NOT NULL DEFAULT 0,
  is_master INTEGER NOT NULL DEFAULT 0,
  created_ms INTEGER NOT NULL
);
CREATE UNIQUE INDEX account_user_by_email ON account_user (account_id, email);

-- Where an account may be used from; none: anywhere. network: "192.0.2.0/24" or one address, in its shortest spelling.
CREATE TABLE allowed_network (
  account_id INTEGER NOT NULL REFERENCES account (id),
  network TEXT NOT NULL,
  description TEXT NOT NULL,
  created_ms INTEGER NOT NULL,
  PRIMARY KEY (account_id, network)
) WITHOUT ROWID;

-- To whom an account's sandbox domains may send. email: in lower case.
CREATE TABLE auth_recipient (
  account_id INTEGER NOT NULL REFERENCES account (id),
  email TEXT NOT NULL,
  created_ms INTEGER NOT NULL,
  PRIMARY KEY (account_id, email)
) WITHOUT ROWID;
