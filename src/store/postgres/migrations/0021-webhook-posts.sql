-- Every attempt to tell a webhook something, with what an entry of the outbox is made of again. url: as it was called. endpoint: of the entry. kind: of the event.
-- result: 1 done, 2 deferred, 3 failed. status: of the answer; 0: there was none. A partition for each day, as of events.
CREATE TABLE webhook_post (
  id BIGINT NOT NULL,
  account_id BIGINT NOT NULL,
  domain_id BIGINT NOT NULL,
  event BIGINT NOT NULL,
  message BIGINT NOT NULL,
  recipient BIGINT NOT NULL,
  at_ms BIGINT NOT NULL,
  took_ms BIGINT NOT NULL,
  number INTEGER NOT NULL,
  kind SMALLINT NOT NULL,
  result SMALLINT NOT NULL,
  status SMALLINT NOT NULL,
  url TEXT COLLATE "C" NOT NULL,
  endpoint TEXT COLLATE "C" NOT NULL,
  payload TEXT COLLATE "C" NOT NULL,
  error TEXT COLLATE "C" NOT NULL,
  response TEXT COLLATE "C" NOT NULL,
  PRIMARY KEY (id)
) PARTITION BY RANGE (id);
CREATE INDEX webhook_post_by_account ON webhook_post (account_id, at_ms, id);
CREATE INDEX webhook_post_failed ON webhook_post (account_id, at_ms, id) WHERE result = 3;
CREATE TABLE webhook_post_first (LIKE webhook_post INCLUDING ALL);
ALTER TABLE webhook_post ATTACH PARTITION webhook_post_first FOR VALUES FROM (MINVALUE) TO (274877906944);
INSERT INTO id_block (kind, next) VALUES ('webhook_post', 1);
