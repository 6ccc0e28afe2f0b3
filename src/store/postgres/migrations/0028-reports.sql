-- What others report about a domain. id: of domain, kind, reporter and the reporter's own id. detail: JSON.
CREATE TABLE report (
  id TEXT COLLATE "C" PRIMARY KEY NOT NULL,
  account_id BIGINT NOT NULL,
  domain_id BIGINT NOT NULL,
  kind TEXT COLLATE "C" NOT NULL,
  reporter TEXT COLLATE "C" NOT NULL,
  org TEXT COLLATE "C" NOT NULL,
  report_id TEXT COLLATE "C" NOT NULL,
  begin_ms BIGINT NOT NULL,
  end_ms BIGINT NOT NULL,
  received_ms BIGINT NOT NULL,
  is_verified SMALLINT NOT NULL,
  messages BIGINT NOT NULL,
  failures BIGINT NOT NULL,
  detail TEXT COLLATE "C" NOT NULL
);
CREATE INDEX report_by_domain ON report (domain_id, kind, begin_ms, id);
CREATE INDEX report_kept ON report (domain_id, is_verified, begin_ms, id);
CREATE INDEX report_by_end ON report (end_ms);

-- What a DMARC report says about messages that came from one address and fared alike. signed: "selector@domain" of a signature that passed.
CREATE TABLE report_row (
  report TEXT COLLATE "C" NOT NULL,
  number BIGINT NOT NULL,
  domain_id BIGINT NOT NULL,
  source_ip TEXT COLLATE "C" NOT NULL,
  count BIGINT NOT NULL,
  disposition TEXT COLLATE "C" NOT NULL,
  dkim_aligned SMALLINT NOT NULL,
  spf_aligned SMALLINT NOT NULL,
  header_from TEXT COLLATE "C" NOT NULL,
  why TEXT COLLATE "C" NOT NULL,
  signed TEXT COLLATE "C" NOT NULL,
  detail TEXT COLLATE "C" NOT NULL,
  PRIMARY KEY (report, number)
);
CREATE INDEX report_row_by_domain ON report_row (domain_id);
