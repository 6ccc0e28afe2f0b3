-- Parts of ceilings that were given out. One row for each ceiling, window of it and holder. Rows stay until their window no longer counts for any other.
CREATE TABLE granted (
  name TEXT NOT NULL,
  start_ms INTEGER NOT NULL,
  holder INTEGER NOT NULL,
  held INTEGER NOT NULL,
  used INTEGER NOT NULL,
  -- 1: accepts tell what is used
  is_counted INTEGER NOT NULL,
  -- the holder's lease
  until_ms INTEGER NOT NULL,
  keep_until_ms INTEGER NOT NULL,
  PRIMARY KEY (name, start_ms, holder),
  CHECK (used <= held)
) WITHOUT ROWID;
CREATE INDEX granted_by_age ON granted (keep_until_ms);

-- NULL: as the settings say; 0: none.
CREATE TABLE account_limit (
  account_id INTEGER PRIMARY KEY REFERENCES account (id),
  recipients_per_hour INTEGER,
  recipients_per_day INTEGER,
  requests_per_second INTEGER
);
