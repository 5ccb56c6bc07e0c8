CREATE TABLE certctl_mcp_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT certctl_mcp_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "certctl_mcp_version" VALUES('0012');
CREATE TABLE notification_attempts (
	notification_id TEXT NOT NULL, 
	number INTEGER NOT NULL, 
	started_at VARCHAR(32) NOT NULL, 
	duration FLOAT, 
	outcome VARCHAR(50) NOT NULL, 
	error TEXT, 
	worker TEXT NOT NULL, 
	late BOOLEAN DEFAULT false NOT NULL, 
	channel VARCHAR(255) NOT NULL, 
	PRIMARY KEY (notification_id, number), 
	FOREIGN KEY(notification_id) REFERENCES notification_events (id) ON DELETE CASCADE
)
 WITHOUT ROWID

;
CREATE TABLE notification_audit (
	id INTEGER NOT NULL, 
	at VARCHAR(32) NOT NULL, 
	actor TEXT NOT NULL, 
	action VARCHAR(50) NOT NULL, 
	notification_id TEXT NOT NULL, 
	detail TEXT, 
	PRIMARY KEY (id)
);
CREATE TABLE notification_channels (
	channel VARCHAR(255) NOT NULL, 
	opens_at VARCHAR(32), 
	full_at VARCHAR(32), 
	waits INTEGER DEFAULT '0' NOT NULL, 
	wait_until VARCHAR(32), 
	recovering INTEGER DEFAULT '0' NOT NULL, 
	failing TEXT DEFAULT '[]' NOT NULL, 
	held_since VARCHAR(32), 
	held_until VARCHAR(32), 
	probes INTEGER DEFAULT '0' NOT NULL, 
	probe_at VARCHAR(32), 
	error TEXT, 
	paused_until VARCHAR(32), 
	pause_reason TEXT, 
	paused_by TEXT, 
	PRIMARY KEY (channel)
);
CREATE TABLE notification_counts (
	id INTEGER NOT NULL, 
	channel TEXT, 
	status TEXT, 
	undelivered BOOLEAN, 
	number BIGINT NOT NULL, 
	PRIMARY KEY (id), 
	UNIQUE (channel, status, undelivered)
);
CREATE TABLE notification_events (
	id TEXT NOT NULL, 
	type VARCHAR(255) NOT NULL, 
	certificate_id TEXT, 
	channel VARCHAR(255) NOT NULL, 
	recipient VARCHAR(255) NOT NULL, 
	message TEXT NOT NULL, 
	status VARCHAR(50) DEFAULT 'pending' NOT NULL, 
	sent_at VARCHAR(32), 
	error TEXT, 
	retry_count INTEGER DEFAULT '0' NOT NULL, 
	next_retry_at VARCHAR(32), 
	last_error TEXT, 
	created_at VARCHAR(32) NOT NULL, 
	read_at VARCHAR(32), 
	idempotency_key TEXT, 
	lease_owner TEXT, 
	lease_expires_at VARCHAR(32), 
	claimed_at VARCHAR(32), 
	attempt_count INTEGER DEFAULT '0' NOT NULL, 
	abandoned_count INTEGER DEFAULT '0' NOT NULL, 
	rescue_at VARCHAR(32), 
	origin_id TEXT, 
	tried_channels TEXT, 
	traceparent VARCHAR, 
	wait_count INTEGER DEFAULT '0' NOT NULL, 
	waiting_since VARCHAR(32), 
	scheduled_at VARCHAR(32), 
	PRIMARY KEY (id)
);
CREATE TABLE notification_figures (
	hours INTEGER NOT NULL, 
	ends_at VARCHAR(32) NOT NULL, 
	begins_at VARCHAR(32) NOT NULL, 
	figures TEXT, 
	builder TEXT, 
	PRIMARY KEY (hours, ends_at)
)
 WITHOUT ROWID

;
CREATE TABLE notification_processes (
	name TEXT NOT NULL, 
	host TEXT NOT NULL, 
	version TEXT NOT NULL, 
	channels TEXT NOT NULL, 
	started_at VARCHAR(32) NOT NULL, 
	alive_since VARCHAR(32) NOT NULL, 
	seen_at VARCHAR(32) NOT NULL, 
	left_at VARCHAR(32), 
	rescues BOOLEAN DEFAULT false NOT NULL, 
	PRIMARY KEY (name)
);
CREATE INDEX idx_notification_attempts_recent ON notification_attempts (started_at, channel, outcome);
CREATE INDEX idx_notification_events_newest ON notification_events (created_at, id);
CREATE INDEX idx_notification_events_newest_by_channel ON notification_events (channel, created_at, id);
CREATE INDEX idx_notification_events_newest_by_recipient ON notification_events (recipient, created_at, id);
CREATE INDEX idx_notification_events_newest_by_status ON notification_events (status, created_at, id);
CREATE INDEX idx_notification_events_newest_by_type ON notification_events (type, created_at, id);
CREATE INDEX idx_notification_events_failed ON notification_events (status, channel, next_retry_at, created_at) WHERE status = 'failed';
CREATE UNIQUE INDEX idx_notification_events_idempotency_key ON notification_events (idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE INDEX idx_notification_events_lease ON notification_events (lease_expires_at) WHERE lease_expires_at IS NOT NULL;
CREATE INDEX idx_notification_events_newest_by_certificate ON notification_events (certificate_id, created_at, id) WHERE certificate_id IS NOT NULL;
CREATE INDEX idx_notification_events_origin ON notification_events (origin_id) WHERE origin_id IS NOT NULL;
CREATE INDEX idx_notification_events_pending ON notification_events (status, channel, created_at) WHERE status = 'pending';
CREATE INDEX idx_notification_events_renewals ON notification_events (type, certificate_id, created_at) WHERE type = 'RenewalSuccess';
CREATE INDEX idx_notification_events_retry_sweep ON notification_events (next_retry_at) WHERE status = 'failed' AND next_retry_at IS NOT NULL;
CREATE INDEX idx_notification_audit_notification ON notification_audit (notification_id);
CREATE INDEX idx_notification_processes_seen ON notification_processes (seen_at);
CREATE INDEX idx_notification_events_newest_undelivered ON notification_events (status, created_at, id, sent_at) WHERE status = 'sent' AND sent_at IS NULL;
CREATE TRIGGER certctl_mcp_count_insert AFTER INSERT ON notification_events BEGIN
  INSERT INTO notification_counts (channel, status, undelivered, number)
  VALUES (NEW.channel, NEW.status, NEW.status = 'sent' AND NEW.sent_at IS NULL, 1)
  ON CONFLICT (channel, status, undelivered) DO UPDATE SET number = number + 1;
END;
CREATE TRIGGER certctl_mcp_count_update AFTER UPDATE OF channel, status, sent_at ON notification_events WHEN OLD.channel IS NOT NEW.channel OR OLD.status IS NOT NEW.status OR (OLD.sent_at IS NULL) <> (NEW.sent_at IS NULL) BEGIN
  UPDATE notification_counts SET number = number - 1
  WHERE channel = OLD.channel AND status = OLD.status AND undelivered = (OLD.status = 'sent' AND OLD.sent_at IS NULL);
  INSERT INTO notification_counts (channel, status, undelivered, number)
  VALUES (NEW.channel, NEW.status, NEW.status = 'sent' AND NEW.sent_at IS NULL, 1)
  ON CONFLICT (channel, status, undelivered) DO UPDATE SET number = number + 1;
END;
CREATE TRIGGER certctl_mcp_count_delete AFTER DELETE ON notification_events BEGIN
  UPDATE notification_counts SET number = number - 1
  WHERE channel = OLD.channel AND status = OLD.status AND undelivered = (OLD.status = 'sent' AND OLD.sent_at IS NULL);
END;
CREATE TRIGGER certctl_mcp_figures_insert AFTER INSERT ON notification_attempts BEGIN DELETE FROM notification_figures WHERE hours = 1 AND ends_at = (SELECT CASE WHEN begins_at <= NEW.started_at THEN ends_at END FROM notification_figures WHERE hours = 1 AND ends_at > NEW.started_at ORDER BY ends_at LIMIT 1); DELETE FROM notification_figures WHERE hours = 24 AND ends_at = (SELECT CASE WHEN begins_at <= NEW.started_at THEN ends_at END FROM notification_figures WHERE hours = 24 AND ends_at > NEW.started_at ORDER BY ends_at LIMIT 1); END;
CREATE TRIGGER certctl_mcp_figures_later BEFORE INSERT ON notification_attempts WHEN EXISTS (SELECT 1 FROM notification_attempts AS made WHERE made.notification_id = NEW.notification_id AND made.number >= NEW.number) BEGIN DELETE FROM notification_figures WHERE hours = 1 AND ends_at IN (SELECT (SELECT CASE WHEN begins_at <= made.started_at THEN ends_at END FROM notification_figures WHERE hours = 1 AND ends_at > made.started_at ORDER BY ends_at LIMIT 1) FROM notification_attempts AS made WHERE made.notification_id = NEW.notification_id AND made.number >= NEW.number); DELETE FROM notification_figures WHERE hours = 24 AND ends_at IN (SELECT (SELECT CASE WHEN begins_at <= made.started_at THEN ends_at END FROM notification_figures WHERE hours = 24 AND ends_at > made.started_at ORDER BY ends_at LIMIT 1) FROM notification_attempts AS made WHERE made.notification_id = NEW.notification_id AND made.number >= NEW.number); END;
CREATE TRIGGER certctl_mcp_figures_update AFTER UPDATE OF notification_id, number, started_at, duration, outcome, late, channel ON notification_attempts WHEN (OLD.notification_id, OLD.number, OLD.started_at, OLD.duration, OLD.outcome, OLD.late, OLD.channel) IS NOT (NEW.notification_id, NEW.number, NEW.started_at, NEW.duration, NEW.outcome, NEW.late, NEW.channel) BEGIN DELETE FROM notification_figures WHERE hours = 1 AND ends_at = (SELECT CASE WHEN begins_at <= OLD.started_at THEN ends_at END FROM notification_figures WHERE hours = 1 AND ends_at > OLD.started_at ORDER BY ends_at LIMIT 1); DELETE FROM notification_figures WHERE hours = 24 AND ends_at = (SELECT CASE WHEN begins_at <= OLD.started_at THEN ends_at END FROM notification_figures WHERE hours = 24 AND ends_at > OLD.started_at ORDER BY ends_at LIMIT 1); DELETE FROM notification_figures WHERE hours = 1 AND ends_at = (SELECT CASE WHEN begins_at <= NEW.started_at THEN ends_at END FROM notification_figures WHERE hours = 1 AND ends_at > NEW.started_at ORDER BY ends_at LIMIT 1); DELETE FROM notification_figures WHERE hours = 24 AND ends_at = (SELECT CASE WHEN begins_at <= NEW.started_at THEN ends_at END FROM notification_figures WHERE hours = 24 AND ends_at > NEW.started_at ORDER BY ends_at LIMIT 1); DELETE FROM notification_figures WHERE hours = 1 AND ends_at IN (SELECT (SELECT CASE WHEN begins_at <= made.started_at THEN ends_at END FROM notification_figures WHERE hours = 1 AND ends_at > made.started_at ORDER BY ends_at LIMIT 1) FROM notification_attempts AS made WHERE made.notification_id = OLD.notification_id AND made.number > OLD.number); DELETE FROM notification_figures WHERE hours = 24 AND ends_at IN (SELECT (SELECT CASE WHEN begins_at <= made.started_at THEN ends_at END FROM notification_figures WHERE hours = 24 AND ends_at > made.started_at ORDER BY ends_at LIMIT 1) FROM notification_attempts AS made WHERE made.notification_id = OLD.notification_id AND made.number > OLD.number); DELETE FROM notification_figures WHERE hours = 1 AND ends_at IN (SELECT (SELECT CASE WHEN begins_at <= made.started_at THEN ends_at END FROM notification_figures WHERE hours = 1 AND ends_at > made.started_at ORDER BY ends_at LIMIT 1) FROM notification_attempts AS made WHERE made.notification_id = NEW.notification_id AND made.number > NEW.number); DELETE FROM notification_figures WHERE hours = 24 AND ends_at IN (SELECT (SELECT CASE WHEN begins_at <= made.started_at THEN ends_at END FROM notification_figures WHERE hours = 24 AND ends_at > made.started_at ORDER BY ends_at LIMIT 1) FROM notification_attempts AS made WHERE made.notification_id = NEW.notification_id AND made.number > NEW.number); END;
CREATE TRIGGER certctl_mcp_figures_delete AFTER DELETE ON notification_attempts BEGIN DELETE FROM notification_figures WHERE hours = 1 AND ends_at = (SELECT CASE WHEN begins_at <= OLD.started_at THEN ends_at END FROM notification_figures WHERE hours = 1 AND ends_at > OLD.started_at ORDER BY ends_at LIMIT 1); DELETE FROM notification_figures WHERE hours = 24 AND ends_at = (SELECT CASE WHEN begins_at <= OLD.started_at THEN ends_at END FROM notification_figures WHERE hours = 24 AND ends_at > OLD.started_at ORDER BY ends_at LIMIT 1); DELETE FROM notification_figures WHERE hours = 1 AND ends_at IN (SELECT (SELECT CASE WHEN begins_at <= made.started_at THEN ends_at END FROM notification_figures WHERE hours = 1 AND ends_at > made.started_at ORDER BY ends_at LIMIT 1) FROM notification_attempts AS made WHERE made.notification_id = OLD.notification_id AND made.number > OLD.number); DELETE FROM notification_figures WHERE hours = 24 AND ends_at IN (SELECT (SELECT CASE WHEN begins_at <= made.started_at THEN ends_at END FROM notification_figures WHERE hours = 24 AND ends_at > made.started_at ORDER BY ends_at LIMIT 1) FROM notification_attempts AS made WHERE made.notification_id = OLD.notification_id AND made.number > OLD.number); END;
CREATE TRIGGER certctl_mcp_figures_notification AFTER UPDATE OF id, created_at, attempt_count, abandoned_count ON notification_events WHEN OLD.id IS NOT NEW.id OR OLD.created_at IS NOT NEW.created_at OR ((OLD.abandoned_count > 0 OR NEW.abandoned_count > 0) AND (OLD.attempt_count, OLD.abandoned_count) IS NOT (NEW.attempt_count, NEW.abandoned_count)) BEGIN DELETE FROM notification_figures WHERE hours = 1 AND ends_at IN (SELECT (SELECT CASE WHEN begins_at <= made.started_at THEN ends_at END FROM notification_figures WHERE hours = 1 AND ends_at > made.started_at ORDER BY ends_at LIMIT 1) FROM notification_attempts AS made WHERE made.notification_id = OLD.id); DELETE FROM notification_figures WHERE hours = 24 AND ends_at IN (SELECT (SELECT CASE WHEN begins_at <= made.started_at THEN ends_at END FROM notification_figures WHERE hours = 24 AND ends_at > made.started_at ORDER BY ends_at LIMIT 1) FROM notification_attempts AS made WHERE made.notification_id = OLD.id); DELETE FROM notification_figures WHERE hours = 1 AND ends_at IN (SELECT (SELECT CASE WHEN begins_at <= made.started_at THEN ends_at END FROM notification_figures WHERE hours = 1 AND ends_at > made.started_at ORDER BY ends_at LIMIT 1) FROM notification_attempts AS made WHERE made.notification_id = NEW.id); DELETE FROM notification_figures WHERE hours = 24 AND ends_at IN (SELECT (SELECT CASE WHEN begins_at <= made.started_at THEN ends_at END FROM notification_figures WHERE hours = 24 AND ends_at > made.started_at ORDER BY ends_at LIMIT 1) FROM notification_attempts AS made WHERE made.notification_id = NEW.id); END;
CREATE TRIGGER certctl_mcp_figures_left BEFORE DELETE ON notification_events BEGIN DELETE FROM notification_figures WHERE hours = 1 AND ends_at IN (SELECT (SELECT CASE WHEN begins_at <= made.started_at THEN ends_at END FROM notification_figures WHERE hours = 1 AND ends_at > made.started_at ORDER BY ends_at LIMIT 1) FROM notification_attempts AS made WHERE made.notification_id = OLD.id); DELETE FROM notification_figures WHERE hours = 24 AND ends_at IN (SELECT (SELECT CASE WHEN begins_at <= made.started_at THEN ends_at END FROM notification_figures WHERE hours = 24 AND ends_at > made.started_at ORDER BY ends_at LIMIT 1) FROM notification_attempts AS made WHERE made.notification_id = OLD.id); END;
CREATE TRIGGER certctl_mcp_figures_found AFTER INSERT ON notification_events WHEN EXISTS (SELECT 1 FROM notification_attempts AS made WHERE made.notification_id = NEW.id) BEGIN DELETE FROM notification_figures WHERE hours = 1 AND ends_at IN (SELECT (SELECT CASE WHEN begins_at <= made.started_at THEN ends_at END FROM notification_figures WHERE hours = 1 AND ends_at > made.started_at ORDER BY ends_at LIMIT 1) FROM notification_attempts AS made WHERE made.notification_id = NEW.id); DELETE FROM notification_figures WHERE hours = 24 AND ends_at IN (SELECT (SELECT CASE WHEN begins_at <= made.started_at THEN ends_at END FROM notification_figures WHERE hours = 24 AND ends_at > made.started_at ORDER BY ends_at LIMIT 1) FROM notification_attempts AS made WHERE made.notification_id = NEW.id); END;
