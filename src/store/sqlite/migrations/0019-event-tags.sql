-- Which events belong to messages with a tag, in the order of their times: a page of one tag's events reads that many rows, however few of a domain's have it. Tags in
-- lower case. A row goes with its event.
CREATE TABLE event_tag (
  domain_id INTEGER NOT NULL,
  tag TEXT NOT NULL,
  at_us INTEGER NOT NULL,
  event INTEGER NOT NULL,
  kind INTEGER NOT NULL,
  PRIMARY KEY (domain_id, tag, at_us, event)
) WITHOUT ROWID;
INSERT OR IGNORE INTO event_tag (domain_id, tag, at_us, event, kind)
  SELECT e.domain_id, lower(t.value), e.at_us, e.id, e.kind FROM message m CROSS JOIN json_each(m.info, '$.options.tags') t JOIN event e ON e.message = m.id;
