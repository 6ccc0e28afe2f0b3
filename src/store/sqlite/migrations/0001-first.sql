-- The first schema. Times are epoch milliseconds (…_ms) or microseconds (…_us). Rows of one tenant carry its account.

CREATE TABLE setting (
  name TEXT PRIMARY KEY,
  value TEXT NOT NULL
) WITHOUT ROWID;

-- Every process that ever leased recipients; a lease belongs to a node.
CREATE TABLE node (
  id INTEGER PRIMARY KEY,
  started_ms INTEGER NOT NULL,
  ended_ms INTEGER
);

CREATE TABLE account (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL,
  created_ms INTEGER NOT NULL,
  is_disabled INTEGER NOT NULL DEFAULT 0
);

CREATE TABLE api_key (
  id TEXT PRIMARY KEY,
  account_id INTEGER NOT NULL REFERENCES account (id),
  secret_hash TEXT NOT NULL UNIQUE,
  kind TEXT NOT NULL,
  role TEXT NOT NULL,
  domain_id INTEGER,
  description TEXT NOT NULL,
  created_ms INTEGER NOT NULL,
  expires_ms INTEGER
);

CREATE TABLE domain (
  id INTEGER PRIMARY KEY,
  account_id INTEGER NOT NULL REFERENCES account (id),
  name TEXT NOT NULL UNIQUE,
  type TEXT NOT NULL,
  state TEXT NOT NULL,
  created_ms INTEGER NOT NULL,
  retention_ms INTEGER NOT NULL,
  require_tls INTEGER NOT NULL DEFAULT 0,
  skip_verification INTEGER NOT NULL DEFAULT 0
);

CREATE TABLE credential (
  login TEXT PRIMARY KEY,
  domain_id INTEGER NOT NULL REFERENCES domain (id),
  account_id INTEGER NOT NULL REFERENCES account (id),
  password_hash TEXT NOT NULL,
  created_ms INTEGER NOT NULL
);
CREATE INDEX credential_by_domain ON credential (domain_id);

CREATE TABLE dkim_key (
  id INTEGER PRIMARY KEY,
  domain_id INTEGER NOT NULL REFERENCES domain (id),
  selector TEXT NOT NULL,
  algorithm TEXT NOT NULL,
  private_key BLOB NOT NULL,
  public_key TEXT NOT NULL,
  state TEXT NOT NULL,
  created_ms INTEGER NOT NULL,
  UNIQUE (domain_id, selector)
);

CREATE TABLE suppression (
  domain_id INTEGER NOT NULL,
  address TEXT NOT NULL COLLATE NOCASE,
  kind TEXT NOT NULL,
  code INTEGER NOT NULL,
  error TEXT NOT NULL,
  created_ms INTEGER NOT NULL,
  PRIMARY KEY (domain_id, address, kind)
) WITHOUT ROWID;

CREATE TABLE template (
  id INTEGER PRIMARY KEY,
  domain_id INTEGER NOT NULL,
  name TEXT NOT NULL,
  description TEXT NOT NULL,
  created_ms INTEGER NOT NULL,
  UNIQUE (domain_id, name)
);

CREATE TABLE template_version (
  template_id INTEGER NOT NULL REFERENCES template (id),
  tag TEXT NOT NULL,
  source TEXT NOT NULL,
  engine TEXT NOT NULL,
  comment TEXT NOT NULL,
  headers TEXT NOT NULL,
  is_active INTEGER NOT NULL,
  created_ms INTEGER NOT NULL,
  PRIMARY KEY (template_id, tag)
) WITHOUT ROWID;

-- One content per submission, however many recipients it has, under the message's id: message ids are never given again.
CREATE TABLE content (
  id INTEGER PRIMARY KEY,
  bytes BLOB NOT NULL
);

CREATE TABLE message (
  id INTEGER PRIMARY KEY,
  account_id INTEGER NOT NULL,
  domain_id INTEGER NOT NULL,
  message_id TEXT NOT NULL,
  sender TEXT NOT NULL,
  created_ms INTEGER NOT NULL,
  expires_ms INTEGER NOT NULL,
  priority INTEGER NOT NULL,
  has_content INTEGER NOT NULL DEFAULT 1,
  recipient_count INTEGER NOT NULL,
  info TEXT NOT NULL
);
CREATE INDEX message_by_message_id ON message (message_id);
-- In the order of ids, which are the rows' own: the newest of one account.
CREATE INDEX message_by_account ON message (account_id);

-- Recipients that wait together: one receiving domain, account and priority. look_ms: when its earliest recipient is due, or parked_ms when
-- that is later; NULL when nothing waits in it. wait: why it is parked. Claims read this small table, never the backlog.
CREATE TABLE bucket (
  id INTEGER PRIMARY KEY,
  domain TEXT NOT NULL,
  account_id INTEGER NOT NULL,
  priority INTEGER NOT NULL,
  look_ms INTEGER,
  parked_ms INTEGER NOT NULL DEFAULT 0,
  wait TEXT NOT NULL DEFAULT 'due',
  UNIQUE (domain, account_id, priority)
);
CREATE INDEX bucket_due ON bucket (priority, look_ms) WHERE look_ms IS NOT NULL;

-- state: 0 queued, 1 leased (by node, under epoch), 2 done (ending says how). due_ms: when it is to be tried; of one that is done, when it was settled.
CREATE TABLE recipient (
  id INTEGER PRIMARY KEY,
  message INTEGER NOT NULL,
  bucket INTEGER NOT NULL,
  address TEXT NOT NULL COLLATE NOCASE,
  state INTEGER NOT NULL,
  ending TEXT,
  due_ms INTEGER NOT NULL,
  expires_ms INTEGER NOT NULL,
  wait TEXT NOT NULL,
  attempts INTEGER NOT NULL DEFAULT 0,
  epoch INTEGER NOT NULL DEFAULT 0,
  node INTEGER,
  possible_duplicate INTEGER NOT NULL DEFAULT 0,
  -- JSON: name, variables, notify, orcpt; NULL when there is none of them
  extra TEXT
);
CREATE INDEX recipient_by_message ON recipient (message);
CREATE INDEX recipient_by_address ON recipient (address, id);
CREATE INDEX recipient_due ON recipient (bucket, due_ms) WHERE state = 0;
CREATE INDEX recipient_expiring ON recipient (expires_ms) WHERE state = 0;
CREATE INDEX recipient_leased ON recipient (node) WHERE state = 1;

-- recipient 0: concerns the whole message.
CREATE TABLE event (
  id INTEGER PRIMARY KEY,
  kind INTEGER NOT NULL,
  at_us INTEGER NOT NULL,
  account_id INTEGER NOT NULL,
  domain_id INTEGER NOT NULL,
  message INTEGER NOT NULL,
  recipient INTEGER NOT NULL,
  detail TEXT
);
CREATE INDEX event_by_domain ON event (domain_id, at_us, id);
CREATE INDEX event_by_message ON event (message);

CREATE TABLE counter (
  domain_id INTEGER NOT NULL,
  hour INTEGER NOT NULL,
  kind INTEGER NOT NULL,
  provider TEXT NOT NULL,
  tag TEXT NOT NULL,
  account_id INTEGER NOT NULL,
  n INTEGER NOT NULL,
  PRIMARY KEY (domain_id, hour, kind, provider, tag)
) WITHOUT ROWID;

CREATE TABLE idempotency (
  account_id INTEGER NOT NULL,
  key TEXT NOT NULL,
  fingerprint TEXT NOT NULL,
  message INTEGER NOT NULL,
  until_ms INTEGER NOT NULL,
  PRIMARY KEY (account_id, key)
) WITHOUT ROWID;
CREATE INDEX idempotency_by_age ON idempotency (until_ms);

CREATE TABLE captured (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  at_ms INTEGER NOT NULL,
  sender TEXT NOT NULL,
  recipients TEXT NOT NULL,
  size_bytes INTEGER NOT NULL,
  subject TEXT NOT NULL,
  from_header TEXT NOT NULL,
  bytes BLOB NOT NULL
);
