-- Plain rules of a domain for mail that comes in. urls, recipients: JSON arrays of texts. store: the URL that is told when the mail is kept, '' none is told; NULL: it is not kept.
CREATE TABLE forward_rule (
  id TEXT COLLATE "C" PRIMARY KEY NOT NULL,
  account_id BIGINT NOT NULL,
  domain_id BIGINT NOT NULL,
  pattern TEXT COLLATE "C" NOT NULL,
  urls TEXT COLLATE "C" NOT NULL,
  recipients TEXT COLLATE "C" NOT NULL,
  store TEXT COLLATE "C",
  created_ms BIGINT NOT NULL,
  updated_ms BIGINT NOT NULL
);
CREATE INDEX forward_rule_by_domain ON forward_rule (account_id, domain_id, created_ms, id);
