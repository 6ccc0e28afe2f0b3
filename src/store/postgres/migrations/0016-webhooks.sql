-- Which servers are told which events of a domain, or, with domain_id 0, of all domains of the account. webhooks: JSON array.
CREATE TABLE webhook_set (
  account_id BIGINT NOT NULL,
  domain_id BIGINT NOT NULL,
  revision BIGINT NOT NULL,
  webhooks TEXT COLLATE "C" NOT NULL,
  PRIMARY KEY (account_id, domain_id)
);
