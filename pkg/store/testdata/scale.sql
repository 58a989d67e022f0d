-- Fills every table that grows with customers or runs. $1 is the number of customers.
INSERT INTO sync_configs (customer_id, external_system_url, destination, onboarded_at, updated_at, backfill_completed_at, active_since,
                          last_polled_at, next_poll_at, next_reconcile_at)
	SELECT 'c' || n, 'https://crm.example.org', '{"kind":"rest"}', now() - interval '90 days', now(), now() - interval '89 days', now() - interval '89 days',
	       now() - interval '5 minutes', now() + n % 1800 * interval '1 second', now() + n % 80000 * interval '1 second' FROM generate_series(1, $1::int) n;
INSERT INTO customer_keys SELECT 'c' || n, 'k', '\x00', now() FROM generate_series(1, $1::int) n;
INSERT INTO credentials SELECT 'c' || n, name, '\x00', now() FROM generate_series(1, $1::int) n, unnest('{vomo_token,destination_token}'::text[]) name;
INSERT INTO sync_checkpoints SELECT 'c' || n, 'user_sync', now(), now() FROM generate_series(1, $1::int) n;
INSERT INTO customer_leases SELECT 'c' || n, 7, 'h', now() - interval '5 minutes' + (n % 1000 / 995) * interval '10 minutes' FROM generate_series(1, $1::int) n;
INSERT INTO customer_budgets (customer_id, next_at) SELECT 'c' || n, now() FROM generate_series(1, $1::int) n;
INSERT INTO onboarding_requests (stream_created, stream_seq, customer_id, state, received_at, settled_at)
	SELECT '2026-01-01', n, 'c' || n % $1::int, 'applied', now(), now() FROM generate_series(1, 2 * $1::int) n;
INSERT INTO job_log (customer_id, job, outcome, trace_id, started_at, completed_at)
	SELECT 'c' || n % $1::int, CASE WHEN n % 10 = 0 THEN 'initial_backfill' WHEN n % 10 = 1 THEN 'user_daily' ELSE 'user_sync_poll' END, 'success', n::text, at, at
	FROM generate_series(1, 10 * $1::int) n, LATERAL (SELECT now() - interval '20 days' + n * interval '20 days' / (10 * $1::int) AS at) a;
INSERT INTO backfill_runs (customer_id, job_id, trace_id, state, due_at, created_at, updated_at, park_reason)
	SELECT 'c' || n, 10 * n, n::text, CASE WHEN n % 100 = 0 THEN 'parked' WHEN n % 1000 = 1 THEN 'queued' ELSE 'completed' END, now() + interval '1 minute', now(), now(), 'x'
	FROM generate_series(1, $1::int) n;
INSERT INTO sync_runs (customer_id, kind, job_id, trace_id, state, updated_after, covered_until, due_at, created_at, updated_at)
	SELECT 'c' || n, kind, 9 * $1::int + n, n::text, CASE WHEN n % 50 = 0 THEN 'parked' ELSE 'queued' END, now(), now(), now() + n % 50 / 49 * interval '1 minute', now(), now()
	FROM generate_series(1, $1::int) n, unnest('{poll,user_daily}'::text[]) kind;
INSERT INTO user_mappings (customer_id, vomo_user_id, external_user_id, last_known_email, last_synced_at, last_synced_updated_at, version_hash)
	SELECT 'c' || n % $1::int, n::text, 'crm-' || n, n || '@example.org', now(), now(), '\x00' FROM generate_series(1, 10 * $1::int) n;
INSERT INTO sync_audit (customer_id, resource_type, record_id, operation, job_id, succeeded, processed_at)
	SELECT 'c' || n % $1::int, 'user', n::text, 'backfill', n, true, now() - n % 60 * interval '1 day' FROM generate_series(1, 10 * $1::int) n;
INSERT INTO dead_letters (id, customer_id, kind, record_id, original_subject, job, error_code, error_class, state, first_failed_at, last_failed_at, next_attempt_at,
                          shown_revision, shown_seq, shown_stream, settled_at)
	SELECT gen_random_uuid(), 'c' || n % $1::int, 'user', n::text, 's', 'user_sync_poll', 'http_422', 'permanent',
	       CASE WHEN n % 20 = 0 THEN 'review' WHEN n % 20 = 1 THEN 'waiting' ELSE 'settled' END, now() - n % 100 * interval '1 hour', now(),
	       CASE WHEN n % 20 = 1 THEN now() + interval '1 hour' END, CASE WHEN n % 20 < 2 THEN 1 END, CASE WHEN n % 20 < 2 THEN n END,
	       CASE WHEN n % 20 < 2 THEN timestamptz '2026-01-01' END, CASE WHEN n % 20 > 1 THEN now() END
	FROM generate_series(1, 4 * $1::int) n;
INSERT INTO outbox (subject, msg_id, payload, created_at, next_attempt_at)
	SELECT 's', n::text, '{}', now(), now() + interval '10 seconds' FROM generate_series(1, $1::int / 10) n;
INSERT INTO alerts (customer_id, type, severity, raised_at, cleared_at)
	SELECT 'c' || n % $1::int, 'poll_stalled', 'warning', now(), CASE WHEN n > $1::int / 50 THEN now() - n % 40 * interval '1 day' END FROM generate_series(1, 3 * $1::int) n;
INSERT INTO letter_holds (customer_id, reason, since, until) SELECT 'c' || n, 'lane_taken', now(), now() FROM generate_series(1, $1::int / 2) n;
INSERT INTO destination_holds SELECT 'c' || n, '{"kind":"rest"}', now() FROM generate_series(1, $1::int / 2) n;
INSERT INTO customer_tokens SELECT 'c' || n, now(), CASE WHEN n % 500 = 0 THEN now() END, CASE WHEN n % 500 = 0 THEN now() END FROM generate_series(1, $1::int) n;
INSERT INTO scan_seen SELECT n / 100, n::text, now(), 0 FROM generate_series(1, 5 * $1::int) n;
INSERT INTO notifications SELECT n::text, 'webhook', 'sent', NULL, now() - n % 30 * interval '1 day' FROM generate_series(1, 3 * $1::int) n;
INSERT INTO reconciliation_runs (customer_id, type, date, job_id, expected_count, gap_count, started_at, completed_at)
	SELECT 'c' || n % $1::int, 'user_daily', current_date - n / $1::int, n, 10, 0, now(), now() - n / $1::int * interval '1 day' FROM generate_series(1, 3 * $1::int) n;
INSERT INTO reconciliation_gaps SELECT n, 'c' || n % $1::int, n::text, 'not_in_mapping', now(), now() - n % 90 * interval '1 day' FROM generate_series(1, 3 * $1::int) n;
INSERT INTO alert_arrivals (message_id, type, cleared, customer_id, payload, arrived_at, gathered, summary_id, summed_at)
	SELECT n::text, 'email_changed', n % 2 = 0, 'c' || n % $1::int, '{}', now() - n % 40 * interval '1 day', n % 3 > 0,
		CASE WHEN n % 3 > 0 THEN 'summary-' || n / 300 END, CASE WHEN n % 3 > 0 AND n > 1000 THEN now() END FROM generate_series(1, 3 * $1::int) n
