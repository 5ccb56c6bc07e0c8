WITH ended AS
(SELECT CAST(finished.value ->> 'id' AS TEXT) AS id, CAST(finished.value ->> 'attempt_error' AS TEXT) AS attempt_error, CAST(finished.value ->> 'status' AS VARCHAR(50)) AS status, CAST(finished.value ->> 'retry_count' AS INTEGER) AS retry_count, CAST(finished.value ->> 'sent_at' AS TIMESTAMP WITH TIME ZONE) AS sent_at, CAST(finished.value ->> 'next_retry_at' AS TIMESTAMP WITH TIME ZONE) AS next_retry_at, CAST(finished.value ->> 'scheduled_at' AS TIMESTAMP WITH TIME ZONE) AS scheduled_at, CAST(finished.value ->> 'error' AS TEXT) AS error, CAST(finished.value ->> 'last_error' AS TEXT) AS last_error, CAST(finished.value ->> 'abandoned_count' AS INTEGER) AS abandoned_count, CAST(finished.value ->> 'wait_count' AS INTEGER) AS wait_count, CAST(finished.value ->> 'waiting_since' AS TIMESTAMP WITH TIME ZONE) AS waiting_since, CAST(finished.value ->> 'number' AS INTEGER) AS number, CAST(finished.value ->> 'started_at' AS TIMESTAMP WITH TIME ZONE) AS started_at, CAST(finished.value ->> 'duration' AS FLOAT) AS duration, CAST(finished.value ->> 'outcome' AS VARCHAR(50)) AS outcome, CAST(finished.value ->> 'worker' AS TEXT) AS worker, CAST(finished.value ->> 'channel' AS VARCHAR(255)) AS channel
FROM jsonb_array_elements(CAST($5::VARCHAR AS JSONB)) AS finished),
held AS
(UPDATE notification_events SET status=ended.status, sent_at=ended.sent_at, error=ended.error, retry_count=ended.retry_count, next_retry_at=ended.next_retry_at, last_error=ended.last_error, lease_owner=$1::VARCHAR, lease_expires_at=$2::TIMESTAMP WITH TIME ZONE, claimed_at=$3::TIMESTAMP WITH TIME ZONE, abandoned_count=ended.abandoned_count, rescue_at=$4::TIMESTAMP WITH TIME ZONE, wait_count=ended.wait_count, waiting_since=ended.waiting_since, scheduled_at=ended.scheduled_at FROM ended WHERE notification_events.id = ended.id AND notification_events.lease_owner = ended.worker AND notification_events.attempt_count = ended.number AND CASE WHEN (notification_events.status IN ('pending', 'failed')) THEN true ELSE false END RETURNING notification_events.id, notification_events.attempt_count, notification_events.channel),
decided AS
(SELECT ended.id AS id, ended.attempt_error AS attempt_error, ((ended.id, ended.number) NOT IN (SELECT held.id, held.attempt_count
FROM held)) AS late, ended.number AS number, ended.started_at AS started_at, ended.duration AS duration, ended.outcome AS outcome, ended.worker AS worker, ended.channel AS channel, ended.id IN (SELECT held.id
FROM held) AS locked
FROM ended),
recorded AS
(INSERT INTO notification_attempts (notification_id, error, late, number, started_at, duration, outcome, worker, channel) SELECT decided.id AS id, decided.attempt_error AS attempt_error, decided.late AS late, decided.number AS number, decided.started_at AS started_at, decided.duration AS duration, decided.outcome AS outcome, decided.worker AS worker, decided.channel AS channel
FROM decided
WHERE decided.locked UNION ALL SELECT anon_1.id AS id, anon_1.attempt_error AS attempt_error, anon_1.late AS late, anon_1.number AS number, anon_1.started_at AS started_at, anon_1.duration AS duration, anon_1.outcome AS outcome, anon_1.worker AS worker, anon_1.channel AS channel
FROM (SELECT decided.id AS id, decided.attempt_error AS attempt_error, decided.late AS late, decided.number AS number, decided.started_at AS started_at, decided.duration AS duration, decided.outcome AS outcome, decided.worker AS worker, decided.channel AS channel
FROM decided, notification_events
WHERE NOT decided.locked AND notification_events.id = decided.id FOR KEY SHARE OF notification_events) AS anon_1 ON CONFLICT (notification_id, number) DO UPDATE SET duration = excluded.duration, outcome = excluded.outcome, error = excluded.error, late = excluded.late WHERE notification_attempts.outcome = $6::VARCHAR)
 SELECT held.id, held.attempt_count, EXISTS (SELECT notification_channels.channel
FROM notification_channels
WHERE notification_channels.channel = held.channel AND (notification_channels.waits > $7::INTEGER OR notification_channels.recovering > $8::INTEGER OR notification_channels.failing != $9::VARCHAR OR notification_channels.held_since IS NOT NULL)) AS trouble
FROM held
