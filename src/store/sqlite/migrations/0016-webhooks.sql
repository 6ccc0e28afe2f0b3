-- Which servers are told which events of a domain, or, with domain_id 0, of all domains of the account. webhooks: JSON array.
CREATE TABLE webhook_set (
  account_id INTEGER NOT NULL,
  domain_id INTEGER NOT NULL,
  revision INTEGER NOT NULL,
  webhooks TEXT NOT NULL,
  PRIMARY KEY (account_id, domain_id)
);
