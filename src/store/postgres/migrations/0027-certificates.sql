-- Certificates of hosts that lead here. private_key: sealed. domain_id 0: the installation's own name.
CREATE TABLE certificate (
  name TEXT COLLATE "C" PRIMARY KEY NOT NULL,
  domain_id BIGINT NOT NULL,
  chain TEXT COLLATE "C" NOT NULL DEFAULT '',
  private_key BYTEA NOT NULL DEFAULT '',
  not_before_ms BIGINT NOT NULL DEFAULT 0,
  not_after_ms BIGINT NOT NULL DEFAULT 0,
  due_ms BIGINT NOT NULL,
  held_until_ms BIGINT NOT NULL DEFAULT 0,
  epoch BIGINT NOT NULL DEFAULT 0,
  tried_ms BIGINT NOT NULL DEFAULT 0,
  failures BIGINT NOT NULL DEFAULT 0,
  error TEXT COLLATE "C" NOT NULL DEFAULT '',
  created_ms BIGINT NOT NULL
);
CREATE INDEX certificate_by_due ON certificate (due_ms);

-- Our account at each authority, and when the next order may be placed there.
CREATE TABLE acme_account (
  directory TEXT COLLATE "C" PRIMARY KEY NOT NULL,
  private_key BYTEA NOT NULL DEFAULT '',
  next_order_ms BIGINT NOT NULL DEFAULT 0
);

-- What an authority that looks is to find here.
CREATE TABLE acme_challenge (
  token TEXT COLLATE "C" PRIMARY KEY NOT NULL,
  answer TEXT COLLATE "C" NOT NULL,
  until_ms BIGINT NOT NULL
);
