WITH RECURSIVE anon_3(name) AS
(SELECT (SELECT notification_events.channel
FROM notification_events
WHERE (notification_events.status = 'pending') IS TRUE AND notification_events.channel >= '' ORDER BY notification_events.channel
 LIMIT 1) AS name UNION ALL SELECT (SELECT notification_events.channel
FROM notification_events
WHERE (notification_events.status = 'pending') IS TRUE AND notification_events.channel > anon_3.name ORDER BY notification_events.channel
 LIMIT 1) AS anon_4
FROM anon_3
WHERE anon_3.name IS NOT NULL),
anon_5(name) AS
(SELECT (SELECT notification_events.channel
FROM notification_events
WHERE (notification_events.status = 'failed') IS TRUE AND notification_events.channel >= '' ORDER BY notification_events.channel
 LIMIT 1) AS name UNION ALL SELECT (SELECT notification_events.channel
FROM notification_events
WHERE (notification_events.status = 'failed') IS TRUE AND notification_events.channel > anon_5.name ORDER BY notification_events.channel
 LIMIT 1) AS anon_6
FROM anon_5
WHERE anon_5.name IS NOT NULL),
state AS
(SELECT COALESCE($2::TIMESTAMP WITH TIME ZONE, statement_timestamp()) AS at, $5::BOOLEAN AND (EXISTS (SELECT *
FROM notification_events
WHERE notification_events.lease_expires_at IS NOT NULL AND notification_events.lease_expires_at <= COALESCE($2::TIMESTAMP WITH TIME ZONE, statement_timestamp()))) AS expired),
served AS
(SELECT anon_2.name AS channel, least(CAST(rooms.value ->> 'room' AS INTEGER), $1::INTEGER) AS room, CAST(rooms.value ->> 'checked' AS BOOLEAN) AND (CAST(rooms.value ->> 'limited' AS BOOLEAN) OR notification_channels.channel IS NOT NULL) AS guarded, (notification_channels.paused_until IS NULL OR notification_channels.paused_until <= COALESCE($2::TIMESTAMP WITH TIME ZONE, statement_timestamp())) AND (notification_channels.opens_at IS NULL OR notification_channels.opens_at <= COALESCE($2::TIMESTAMP WITH TIME ZONE, statement_timestamp())) AS open
FROM (SELECT anon_3.name AS name
FROM anon_3
WHERE anon_3.name IS NOT NULL UNION SELECT anon_5.name AS name
FROM anon_5
WHERE anon_5.name IS NOT NULL) AS anon_2 JOIN jsonb_array_elements(CAST($3::VARCHAR AS JSONB)) AS rooms ON CAST(rooms.value ->> 'channel' AS TEXT) = anon_2.name LEFT OUTER JOIN notification_channels ON notification_channels.channel = anon_2.name
WHERE CAST(rooms.value ->> 'room' AS INTEGER) > $4::INTEGER AND NOT (SELECT state.expired
FROM state)),
rooms AS
(SELECT served.channel AS channel, served.room AS room
FROM served
WHERE NOT served.guarded),
wanted AS
(SELECT anon_7.channel AS channel, anon_7.kind AS kind, count(*) AS number
FROM (SELECT anon_8.channel AS channel, anon_8.kind AS kind
FROM (SELECT rooms.channel AS channel, rooms.room AS room, seen.since AS since, seen.kind AS kind, row_number() OVER (PARTITION BY rooms.channel ORDER BY seen.since) AS place
FROM rooms JOIN LATERAL (SELECT anon_9.id AS id, anon_9.since AS since, anon_9.kind AS kind
FROM LATERAL (SELECT notification_events.id AS id, notification_events.created_at AS since, 'pending' AS kind
FROM notification_events
WHERE (notification_events.status = 'pending') IS TRUE AND notification_events.channel = rooms.channel AND notification_events.lease_owner IS NULL AND notification_events.abandoned_count < $7::INTEGER ORDER BY notification_events.created_at
 LIMIT rooms.room) AS anon_9 UNION ALL SELECT anon_10.id AS id, anon_10.since AS since, anon_10.kind AS kind
FROM LATERAL (SELECT notification_events.id AS id, CASE WHEN (notification_events.wait_count > 0 AND NOT (EXISTS (SELECT notification_channels.channel
FROM notification_channels
WHERE notification_channels.channel = notification_events.channel AND notification_channels.held_until > COALESCE($2::TIMESTAMP WITH TIME ZONE, statement_timestamp())))) THEN notification_events.created_at ELSE notification_events.next_retry_at END AS since, 'scheduled' AS kind
FROM notification_events
WHERE (notification_events.status = 'failed') IS TRUE AND notification_events.channel = rooms.channel AND ((notification_events.channel, notification_events.next_retry_at) <= (rooms.channel, COALESCE($2::TIMESTAMP WITH TIME ZONE, statement_timestamp()))) AND notification_events.lease_owner IS NULL AND notification_events.abandoned_count < $7::INTEGER ORDER BY notification_events.next_retry_at
 LIMIT rooms.room) AS anon_10 UNION ALL SELECT anon_11.id AS id, anon_11.since AS since, anon_11.kind AS kind
FROM LATERAL (SELECT notification_events.id AS id, notification_events.created_at AS since, 'unscheduled' AS kind
FROM notification_events
WHERE (notification_events.status = 'failed') IS TRUE AND notification_events.channel = rooms.channel AND notification_events.next_retry_at IS NULL AND notification_events.lease_owner IS NULL AND notification_events.abandoned_count < $7::INTEGER ORDER BY notification_events.next_retry_at, notification_events.created_at
 LIMIT rooms.room) AS anon_11) AS seen ON true) AS anon_8
WHERE anon_8.place <= anon_8.room ORDER BY anon_8.since
 LIMIT $1::INTEGER) AS anon_7 GROUP BY anon_7.channel, anon_7.kind),
taken AS
(SELECT anon_12.id AS id
FROM wanted JOIN LATERAL (SELECT notification_events.id AS id, notification_events.created_at AS since, 'pending' AS kind
FROM notification_events
WHERE (notification_events.status = 'pending') IS TRUE AND notification_events.channel = wanted.channel AND notification_events.lease_owner IS NULL AND notification_events.abandoned_count < $7::INTEGER ORDER BY notification_events.created_at
 LIMIT wanted.number FOR UPDATE SKIP LOCKED) AS anon_12 ON true
WHERE wanted.kind = $11::VARCHAR UNION ALL SELECT anon_13.id AS id
FROM wanted JOIN LATERAL (SELECT notification_events.id AS id, CASE WHEN (notification_events.wait_count > 0 AND NOT (EXISTS (SELECT notification_channels.channel
FROM notification_channels
WHERE notification_channels.channel = notification_events.channel AND notification_channels.held_until > COALESCE($2::TIMESTAMP WITH TIME ZONE, statement_timestamp())))) THEN notification_events.created_at ELSE notification_events.next_retry_at END AS since, 'scheduled' AS kind
FROM notification_events
WHERE (notification_events.status = 'failed') IS TRUE AND notification_events.channel = wanted.channel AND ((notification_events.channel, notification_events.next_retry_at) <= (wanted.channel, COALESCE($2::TIMESTAMP WITH TIME ZONE, statement_timestamp()))) AND notification_events.lease_owner IS NULL AND notification_events.abandoned_count < $7::INTEGER ORDER BY notification_events.next_retry_at
 LIMIT wanted.number FOR UPDATE SKIP LOCKED) AS anon_13 ON true
WHERE wanted.kind = $12::VARCHAR UNION ALL SELECT anon_14.id AS id
FROM wanted JOIN LATERAL (SELECT notification_events.id AS id, notification_events.created_at AS since, 'unscheduled' AS kind
FROM notification_events
WHERE (notification_events.status = 'failed') IS TRUE AND notification_events.channel = wanted.channel AND notification_events.next_retry_at IS NULL AND notification_events.lease_owner IS NULL AND notification_events.abandoned_count < $7::INTEGER ORDER BY notification_events.next_retry_at, notification_events.created_at
 LIMIT wanted.number FOR UPDATE SKIP LOCKED) AS anon_14 ON true
WHERE wanted.kind = $13::VARCHAR),
leased AS
(UPDATE notification_events SET lease_owner=$8::VARCHAR, lease_expires_at=(COALESCE($2::TIMESTAMP WITH TIME ZONE, statement_timestamp()) + $9::INTERVAL), claimed_at=COALESCE($2::TIMESTAMP WITH TIME ZONE, statement_timestamp()), attempt_count=(notification_events.attempt_count + $10::INTEGER) FROM taken WHERE notification_events.id = taken.id RETURNING notification_events.id, notification_events.type, notification_events.certificate_id, notification_events.channel, notification_events.recipient, notification_events.message, notification_events.status, notification_events.sent_at, notification_events.error, notification_events.retry_count, notification_events.next_retry_at, notification_events.last_error, notification_events.created_at, notification_events.read_at, notification_events.idempotency_key, notification_events.lease_owner, notification_events.lease_expires_at, notification_events.claimed_at, notification_events.attempt_count, notification_events.abandoned_count, notification_events.wait_count, notification_events.waiting_since, notification_events.origin_id, notification_events.tried_channels, notification_events.rescue_at, notification_events.traceparent)
 SELECT leased.id, leased.type, leased.certificate_id, leased.channel, leased.recipient, leased.message, leased.status, leased.sent_at, leased.error, leased.retry_count, leased.next_retry_at, leased.last_error, leased.created_at, leased.read_at, leased.idempotency_key, leased.lease_owner, leased.lease_expires_at, leased.claimed_at, leased.attempt_count, leased.abandoned_count, leased.wait_count, leased.waiting_since, leased.origin_id, leased.tried_channels, leased.rescue_at, leased.traceparent, anon_1.wanted, (SELECT array_agg(CAST(served.channel AS TEXT)) AS array_agg_1
FROM served
WHERE served.guarded AND served.open) AS asked, state.at, state.expired
FROM state JOIN (SELECT CAST(coalesce(sum(wanted.number), $6::INTEGER) AS INTEGER) AS wanted
FROM wanted) AS anon_1 ON true LEFT OUTER JOIN leased ON true
