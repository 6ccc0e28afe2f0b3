-- Which events belong to messages with a tag, in the order of their times: a page of one tag's events reads that many rows, however few of a domain's have it. Tags in
-- lower case. Rows go when their events are too old; they are found by stretches of the table, which are in the order of time.
CREATE TABLE event_tag (
  domain_id BIGINT NOT NULL,
  at_us BIGINT NOT NULL,
  event BIGINT NOT NULL,
  kind SMALLINT NOT NULL,
  tag TEXT COLLATE "C" NOT NULL,
  PRIMARY KEY (domain_id, tag, at_us, event)
);
CREATE INDEX event_tag_by_age ON event_tag USING brin (at_us);
INSERT INTO event_tag (domain_id, tag, at_us, event, kind)
  SELECT e.domain_id, lower(t.tag COLLATE "C"), e.at_us, e.id, e.kind FROM message m
  CROSS JOIN LATERAL json_array_elements_text(m.info::json #> '{options,tags}') AS t (tag) JOIN event e ON e.message = m.id
  WHERE m.info LIKE '%"tags":["%' ON CONFLICT DO NOTHING;
