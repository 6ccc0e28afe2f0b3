-- A range of pages that was emptied and filled again keeps its old minimum in a BRIN index, and every look for what is too old would read it.
DROP INDEX fact_once_by_age;
CREATE INDEX fact_once_by_age ON fact_once (at_ms);
