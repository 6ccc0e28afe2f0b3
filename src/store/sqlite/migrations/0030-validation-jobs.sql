-- Lists of addresses that are validated in the background. bytes: an address on each line, until all are done. summary: JSON, counts of results and risks.
CREATE TABLE validation_job (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  account_id INTEGER NOT NULL,
  name TEXT NOT NULL,
  quantity INTEGER NOT NULL,
  processed INTEGER NOT NULL,
  position INTEGER NOT NULL,
  summary TEXT NOT NULL,
  created_ms INTEGER NOT NULL,
  finished_ms INTEGER,
  deleted_ms INTEGER,
  -- who works on it: until then, under that epoch
  held_until_ms INTEGER NOT NULL,
  epoch INTEGER NOT NULL,
  bytes BLOB NOT NULL
);
CREATE UNIQUE INDEX validation_job_by_name ON validation_job (account_id, name) WHERE deleted_ms IS NULL;
CREATE INDEX validation_job_by_account ON validation_job (account_id, id);
CREATE INDEX validation_job_open ON validation_job (held_until_ms) WHERE finished_ms IS NULL AND deleted_ms IS NULL;
CREATE INDEX validation_job_deleted ON validation_job (id) WHERE deleted_ms IS NOT NULL;

-- What some of its addresses came to, as JSON, in the order of the list.
CREATE TABLE validation_result (
  job INTEGER NOT NULL,
  number INTEGER NOT NULL,
  results TEXT NOT NULL,
  PRIMARY KEY (job, number)
) WITHOUT ROWID;
