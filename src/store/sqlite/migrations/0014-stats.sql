-- What happened, counted: by the hour, by the day, and by the day and receiving domain. Tags stand in lower case; '' counts every message once, whatever its tags.
-- reason: what kind of failure, or after how many attempts (model/count-reason). What nothing is known of is ''.
CREATE TABLE counted (
  account_id INTEGER NOT NULL,
  domain_id INTEGER NOT NULL,
  tag TEXT NOT NULL,
  hour INTEGER NOT NULL,
  kind INTEGER NOT NULL,
  reason TEXT NOT NULL,
  provider TEXT NOT NULL,
  source TEXT NOT NULL,
  country TEXT NOT NULL,
  device TEXT NOT NULL,
  n INTEGER NOT NULL,
  PRIMARY KEY (account_id, domain_id, tag, hour, kind, reason, provider, source, country, device)
) WITHOUT ROWID;
INSERT INTO counted SELECT account_id, domain_id, lower(tag), hour, kind, '', provider, '', '', '', sum(n) FROM counter
  GROUP BY account_id, domain_id, lower(tag), hour, kind, provider;
DROP TABLE counter;
ALTER TABLE counted RENAME TO counter;
CREATE INDEX counter_by_age ON counter (hour);

CREATE TABLE counter_day (
  account_id INTEGER NOT NULL,
  domain_id INTEGER NOT NULL,
  tag TEXT NOT NULL,
  day INTEGER NOT NULL,
  kind INTEGER NOT NULL,
  reason TEXT NOT NULL,
  provider TEXT NOT NULL,
  source TEXT NOT NULL,
  country TEXT NOT NULL,
  device TEXT NOT NULL,
  n INTEGER NOT NULL,
  PRIMARY KEY (account_id, domain_id, tag, day, kind, reason, provider, source, country, device)
) WITHOUT ROWID;
INSERT INTO counter_day SELECT account_id, domain_id, tag, hour / 24, kind, reason, provider, source, country, device, sum(n) FROM counter
  GROUP BY account_id, domain_id, tag, hour / 24, kind, reason, provider, source, country, device;
CREATE INDEX counter_day_by_age ON counter_day (day);

CREATE TABLE counter_receiver (
  account_id INTEGER NOT NULL,
  domain_id INTEGER NOT NULL,
  tag TEXT NOT NULL,
  day INTEGER NOT NULL,
  kind INTEGER NOT NULL,
  reason TEXT NOT NULL,
  receiver TEXT NOT NULL,
  provider TEXT NOT NULL,
  source TEXT NOT NULL,
  country TEXT NOT NULL,
  device TEXT NOT NULL,
  n INTEGER NOT NULL,
  PRIMARY KEY (account_id, domain_id, tag, day, kind, reason, receiver, provider, source, country, device)
) WITHOUT ROWID;
CREATE INDEX counter_receiver_by_age ON counter_receiver (day);

-- Tags that messages of a domain had. key: the name in lower case; name: as it was seen first. last_ms: the hour in which it was seen last.
CREATE TABLE tag (
  account_id INTEGER NOT NULL,
  domain_id INTEGER NOT NULL,
  key TEXT NOT NULL,
  name TEXT NOT NULL,
  description TEXT NOT NULL DEFAULT '',
  first_ms INTEGER NOT NULL,
  last_ms INTEGER NOT NULL,
  PRIMARY KEY (account_id, domain_id, key)
) WITHOUT ROWID;
CREATE INDEX tag_by_age ON tag (last_ms);
INSERT INTO tag (account_id, domain_id, key, name, first_ms, last_ms)
  SELECT account_id, domain_id, tag, tag, min(hour) * 3600000, max(hour) * 3600000 FROM counter WHERE tag <> '' GROUP BY account_id, domain_id, tag;

-- Events of the kinds that are few, which are looked for among many.
CREATE INDEX event_by_kind ON event (domain_id, kind, at_us, id) WHERE kind > 2;
