--! breaking
-- What happened, counted: by the hour, by the day, and by the day and receiving domain. Tags stand in lower case; '' counts every message once, whatever its tags.
-- reason: what kind of failure, or after how many attempts (model/count-reason). What nothing is known of is ''. Each node
-- counts in rows of its own; readers add them up.
CREATE TABLE counted (
  account_id BIGINT NOT NULL,
  domain_id BIGINT NOT NULL,
  tag TEXT COLLATE "C" NOT NULL,
  hour INTEGER NOT NULL,
  kind SMALLINT NOT NULL,
  reason TEXT COLLATE "C" NOT NULL,
  provider TEXT COLLATE "C" NOT NULL,
  source TEXT COLLATE "C" NOT NULL,
  country TEXT COLLATE "C" NOT NULL,
  device TEXT COLLATE "C" NOT NULL,
  node BIGINT NOT NULL,
  n BIGINT NOT NULL,
  PRIMARY KEY (account_id, domain_id, tag, hour, kind, reason, provider, source, country, device, node)
);
INSERT INTO counted SELECT account_id, domain_id, lower(tag), hour, kind, '', provider, '', '', '', node, sum(n)::bigint FROM counter
  GROUP BY account_id, domain_id, lower(tag), hour, kind, provider, node;
DROP TABLE counter;
ALTER TABLE counted RENAME TO counter;
CREATE INDEX counter_by_age ON counter (hour);

CREATE TABLE counter_day (
  account_id BIGINT NOT NULL,
  domain_id BIGINT NOT NULL,
  tag TEXT COLLATE "C" NOT NULL,
  day INTEGER NOT NULL,
  kind SMALLINT NOT NULL,
  reason TEXT COLLATE "C" NOT NULL,
  provider TEXT COLLATE "C" NOT NULL,
  source TEXT COLLATE "C" NOT NULL,
  country TEXT COLLATE "C" NOT NULL,
  device TEXT COLLATE "C" NOT NULL,
  node BIGINT NOT NULL,
  n BIGINT NOT NULL,
  PRIMARY KEY (account_id, domain_id, tag, day, kind, reason, provider, source, country, device, node)
);
INSERT INTO counter_day SELECT account_id, domain_id, tag, hour / 24, kind, reason, provider, source, country, device, node, sum(n)::bigint FROM counter
  GROUP BY account_id, domain_id, tag, hour / 24, kind, reason, provider, source, country, device, node;
CREATE INDEX counter_day_by_age ON counter_day (day);

CREATE TABLE counter_receiver (
  account_id BIGINT NOT NULL,
  domain_id BIGINT NOT NULL,
  tag TEXT COLLATE "C" NOT NULL,
  day INTEGER NOT NULL,
  kind SMALLINT NOT NULL,
  reason TEXT COLLATE "C" NOT NULL,
  receiver TEXT COLLATE "C" NOT NULL,
  provider TEXT COLLATE "C" NOT NULL,
  source TEXT COLLATE "C" NOT NULL,
  country TEXT COLLATE "C" NOT NULL,
  device TEXT COLLATE "C" NOT NULL,
  node BIGINT NOT NULL,
  n BIGINT NOT NULL,
  PRIMARY KEY (account_id, domain_id, tag, day, kind, reason, receiver, provider, source, country, device, node)
);
CREATE INDEX counter_receiver_by_age ON counter_receiver (day);

-- Tags that messages of a domain had. key: the name in lower case; name: as it was seen first. last_ms: the hour in which it was seen last.
CREATE TABLE tag (
  account_id BIGINT NOT NULL,
  domain_id BIGINT NOT NULL,
  key TEXT COLLATE "C" NOT NULL,
  name TEXT COLLATE "C" NOT NULL,
  description TEXT COLLATE "C" NOT NULL DEFAULT '',
  first_ms BIGINT NOT NULL,
  last_ms BIGINT NOT NULL,
  PRIMARY KEY (account_id, domain_id, key)
);
CREATE INDEX tag_by_age ON tag (last_ms);
INSERT INTO tag (account_id, domain_id, key, name, first_ms, last_ms)
  SELECT account_id, domain_id, tag, tag, min(hour)::bigint * 3600000, max(hour)::bigint * 3600000 FROM counter WHERE tag <> '' GROUP BY account_id, domain_id, tag;

ALTER TABLE counter SET (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 200, fillfactor = 70);
ALTER TABLE counter_day SET (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 200, fillfactor = 70);
ALTER TABLE counter_receiver SET (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 200, fillfactor = 70);

-- Events of the kinds that are few, which are looked for among many.
CREATE INDEX event_by_kind ON event (domain_id, kind, at_us, id) WHERE kind > 2;
