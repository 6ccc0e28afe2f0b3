-- What others report about a domain. id: of domain, kind, reporter and the reporter's own id. detail: JSON.
CREATE TABLE report (
  id TEXT PRIMARY KEY NOT NULL,
  account_id INTEGER NOT NULL,
  domain_id INTEGER NOT NULL,
  kind TEXT NOT NULL,
  reporter TEXT NOT NULL,
  org TEXT NOT NULL,
  report_id TEXT NOT NULL,
  begin_ms INTEGER NOT NULL,
  end_ms INTEGER NOT NULL,
  received_ms INTEGER NOT NULL,
  is_verified INTEGER NOT NULL,
  messages INTEGER NOT NULL,
  failures INTEGER NOT NULL,
  detail TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX report_by_domain ON report (domain_id, kind, begin_ms, id);
CREATE INDEX report_kept ON report (domain_id, is_verified, begin_ms, id);
CREATE INDEX report_by_end ON report (end_ms);

-- What a DMARC report says about messages that came from one address and fared alike. signed: "selector@domain" of a signature that passed.
CREATE TABLE report_row (
  report TEXT NOT NULL,
  number INTEGER NOT NULL,
  domain_id INTEGER NOT NULL,
  source_ip TEXT NOT NULL,
  count INTEGER NOT NULL,
  disposition TEXT NOT NULL,
  dkim_aligned INTEGER NOT NULL,
  spf_aligned INTEGER NOT NULL,
  header_from TEXT NOT NULL,
  why TEXT NOT NULL,
  signed TEXT NOT NULL,
  detail TEXT NOT NULL,
  PRIMARY KEY (report, number)
) WITHOUT ROWID;
CREATE INDEX report_row_by_domain ON report_row (domain_id);
