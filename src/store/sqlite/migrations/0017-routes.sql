-- What an account wants done with mail that comes in. actions: JSON array of texts.
CREATE TABLE route (
  id TEXT PRIMARY KEY NOT NULL,
  account_id INTEGER NOT NULL,
  priority INTEGER NOT NULL,
  description TEXT NOT NULL,
  expression TEXT NOT NULL,
  actions TEXT NOT NULL,
  created_ms INTEGER NOT NULL
);
CREATE INDEX route_by_priority ON route (account_id, priority, created_ms, id);
