-- Templates of an account, for all of its domains, have minus the account as their domain_id.
ALTER TABLE template ADD COLUMN created_by TEXT COLLATE "C" NOT NULL DEFAULT '';
