-- What a node says of itself, and how it fares. Rows that are older than this were processes that have ended.
ALTER TABLE node ADD COLUMN name TEXT NOT NULL DEFAULT '';
ALTER TABLE node ADD COLUMN version TEXT NOT NULL DEFAULT '';
-- JSON arrays of names.
ALTER TABLE node ADD COLUMN services TEXT NOT NULL DEFAULT '[]';
ALTER TABLE node ADD COLUMN sources TEXT NOT NULL DEFAULT '[]';
ALTER TABLE node ADD COLUMN state TEXT NOT NULL DEFAULT 'lost';
ALTER TABLE node ADD COLUMN wanted TEXT NOT NULL DEFAULT 'run';
ALTER TABLE node ADD COLUMN seen_ms INTEGER NOT NULL DEFAULT 0;
UPDATE node SET seen_ms = started_ms, ended_ms = coalesce(ended_ms, started_ms);
