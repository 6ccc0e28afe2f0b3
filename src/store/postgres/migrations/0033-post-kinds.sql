-- What kind of entry of the outbox was posted: posts of routes stand in the log, too, and are made again as what they were.
ALTER TABLE webhook_post ADD COLUMN entry TEXT COLLATE "C" NOT NULL DEFAULT 'event';
