-- Plain rules of a domain for mail that comes in. urls, recipients: JSON arrays of texts. store: the URL that is told when the mail is kept, '' none is told; NULL: it is not kept.
CREATE TABLE forward_rule (
  id TEXT PRIMARY KEY NOT NULL,
  account_id INTEGER NOT NULL,
  domain_id INTEGER NOT NULL,
  pattern TEXT NOT NULL,
  urls TEXT NOT NULL,
  recipients TEXT NOT NULL,
  store TEXT,
  created_ms INTEGER NOT NULL,
  updated_ms INTEGER NOT NULL
);
CREATE INDEX forward_rule_by_domain ON forward_rule (account_id, domain_id, created_ms, id);
