-- Who has how many reports on a domain, and which of theirs is the oldest, without reading any.
CREATE INDEX report_by_reporter ON report (domain_id, is_verified, reporter, begin_ms, id);
