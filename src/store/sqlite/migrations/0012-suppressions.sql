-- Unsubscribes may hold for some tags only, by a JSON array of them; ["*"]: for everything. Lists are walked by kind.
ALTER TABLE suppression ADD COLUMN tags TEXT NOT NULL DEFAULT '["*"]';
CREATE INDEX suppression_by_kind ON suppression (domain_id, kind, address);

-- Addresses and receiving domains that no bounce suppresses. value: in lower case. type: address or domain.
CREATE TABLE allowlist (
  domain_id INTEGER NOT NULL,
  value TEXT NOT NULL,
  type TEXT NOT NULL,
  reason TEXT NOT NULL,
  created_ms INTEGER NOT NULL,
  PRIMARY KEY (domain_id, value)
) WITHOUT ROWID;

-- Files that are read into a list in steps, each with the position that it came to. target: the domain or mailing list. bytes: empty when it is finished.
CREATE TABLE import_job (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  account_id INTEGER NOT NULL,
  kind TEXT NOT NULL,
  target INTEGER NOT NULL,
  -- JSON
  options TEXT NOT NULL,
  size_bytes INTEGER NOT NULL,
  position INTEGER NOT NULL,
  added INTEGER NOT NULL,
  failed INTEGER NOT NULL,
  -- why the first row that failed did
  trouble TEXT,
  created_ms INTEGER NOT NULL,
  finished_ms INTEGER,
  -- who reads it: until then, under that epoch
  held_until_ms INTEGER NOT NULL,
  epoch INTEGER NOT NULL,
  bytes BLOB NOT NULL
);
CREATE INDEX import_job_by_account ON import_job (account_id, id);
CREATE INDEX import_job_open ON import_job (held_until_ms) WHERE finished_ms IS NULL;
