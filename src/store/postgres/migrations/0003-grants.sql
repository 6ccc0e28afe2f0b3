-- Parts of ceilings that were given out. One row for each ceiling, window of it and holder. Rows stay until their window no longer counts for any other.
CREATE TABLE granted (
  name TEXT COLLATE "C" NOT NULL,
  start_ms BIGINT NOT NULL,
  holder BIGINT NOT NULL,
  held BIGINT NOT NULL,
  used BIGINT NOT NULL,
  -- 1: accepts tell what is used
  is_counted SMALLINT NOT NULL,
  -- the holder's lease
  until_ms BIGINT NOT NULL,
  keep_until_ms BIGINT NOT NULL,
  PRIMARY KEY (name, start_ms, holder),
  CONSTRAINT granted_suffices CHECK (used <= held)
) WITH (fillfactor = 50);
CREATE INDEX granted_by_age ON granted (keep_until_ms);

-- NULL: as the settings say; 0: none.
CREATE TABLE account_limit (
  account_id BIGINT PRIMARY KEY REFERENCES account (id),
  recipients_per_hour BIGINT,
  recipients_per_day BIGINT,
  requests_per_second BIGINT
);
