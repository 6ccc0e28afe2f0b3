-- What an account wants done with mail that comes in. actions: JSON array of texts.
CREATE TABLE route (
  id TEXT COLLATE "C" PRIMARY KEY NOT NULL,
  account_id BIGINT NOT NULL,
  priority BIGINT NOT NULL,
  description TEXT COLLATE "C" NOT NULL,
  expression TEXT COLLATE "C" NOT NULL,
  actions TEXT COLLATE "C" NOT NULL,
  created_ms BIGINT NOT NULL
);
CREATE INDEX route_by_priority ON route (account_id, priority, created_ms, id);
