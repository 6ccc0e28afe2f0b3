-- Mailing lists. Addresses in lower case; domain: the part after the @. members_count is kept with each change of members.
CREATE TABLE mailing_list (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  account_id INTEGER NOT NULL,
  address TEXT NOT NULL UNIQUE,
  domain TEXT NOT NULL,
  name TEXT NOT NULL,
  description TEXT NOT NULL,
  access_level TEXT NOT NULL,
  reply_preference TEXT NOT NULL,
  created_ms INTEGER NOT NULL,
  members_count INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX mailing_list_by_account ON mailing_list (account_id, address);
CREATE INDEX mailing_list_by_domain ON mailing_list (domain);

-- vars: JSON.
CREATE TABLE list_member (
  list_id INTEGER NOT NULL,
  address TEXT NOT NULL,
  name TEXT NOT NULL,
  vars TEXT NOT NULL,
  is_subscribed INTEGER NOT NULL,
  PRIMARY KEY (list_id, address)
) WITHOUT ROWID;
