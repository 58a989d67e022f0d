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
INSERT INTO runs (customer_id, kind, job_id, trace_id, state, due_at, created_at, updated_at, park_reason, completed_at)
	SELECT 'c' || n, 'backfill', 10 * n, n::text, CASE WHEN n % 100 = 50 THEN 'parked' WHEN n % 1000 = 2 THEN 'queued' ELSE 'completed' END, now() + interval '1 minute', now(), now(), 'x', now()
	FROM generate_series(1, $1::int) n;
-- updated_at is ahead, so that no run is unattended however long a busy machine takes to get here.
INSERT INTO runs (customer_id, kind, job_id, trace_id, state, updated_after, covered_until, due_at, created_at, updated_at)
	SELECT 'c' || n, kind, 9 * $1::int + n, n::text, CASE WHEN n % 50 = 0 THEN 'parked' ELSE 'queued' END, now(), now(), now() + n % 50 / 49 * interval '1 minute', now(),
	       now() + interval '1 hour'
	FROM generate_series(1, $1::int) n, unnest('{poll,user_daily}'::text[]) kind;
INSERT INTO user_mappings (customer_id, vomo_user_id, external_user_id, last_known_email, last_synced_at, last_synced_updated_at, version_hash)
	SELECT 'c' || n % $1::int, n::text, 'crm-' || n, n || '@example.org', now(), now(), '\x00' FROM generate_series(1, 10 * $1::int) n;
INSERT INTO sync_audit (customer_id, resource_type, record_id, operation, job_id, succeeded, processed_at)
	SELECT 'c' || n % $1::int, 'user', n::text, 'backfill', n, true, now() - n % 60 * interval '1 day' FROM generate_series(1, 10 * $1::int) n;
INSERT INTO dead_letters (id, customer_id, kind, record_id, original_subject, job, error_code, error_class, state, first_failed_at, last_failed_at, next_attempt_at,
                          published_revision, settled_at)
	SELECT gen_random_uuid(), 'c' || n % $1::int, 'user', n::text, 's', 'user_sync_poll', 'http_422', 'permanent',
	       CASE WHEN n % 20 = 0 THEN 'review' WHEN n % 20 = 1 THEN 'waiting' ELSE 'settled' END, now() - n % 100 * interval '1 hour', now(),
	       CASE WHEN n % 20 = 1 THEN now() + interval '1 hour' END, CASE WHEN n % 20 < 2 THEN 1 END, CASE WHEN n % 20 > 1 THEN now() END
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
INSERT INTO customer_daily_counts SELECT 'c' || n % $1::int, current_date - n / $1::int, n FROM generate_series(1, 3 * $1::int) n;
INSERT INTO reconciliation_gaps SELECT n, 'c' || n % $1::int, n::text, 'not_in_mapping', now(), now() - n % 90 * interval '1 day' FROM generate_series(1, 3 * $1::int) n;
INSERT INTO alert_arrivals (message_id, type, cleared, customer_id, payload, arrived_at, gathered, summary_id, summed_at)
	SELECT n::text, 'email_changed', n % 2 = 0, 'c' || n % $1::int, '{}', now() - n % 40 * interval '1 day', n % 3 > 0,
		CASE WHEN n % 3 > 0 THEN 'summary-' || n / 300 END, CASE WHEN n % 3 > 0 AND n > 1000 THEN now() END FROM generate_series(1, 3 * $1::int) n;
INSERT INTO operator_audit (at, operator, via, verb, customer_id, filter, outcome)
	SELECT now() - n * interval '1 minute', 'ana@ops-' || n % 7, 'api', 'letters.retry', 'c' || n % $1::int, '{}', 'done' FROM generate_series(1, 3 * $1::int) n;
INSERT INTO sync_configs (customer_id, external_system_url, destination, onboarded_at, updated_at, offboarded_at, enabled)
	SELECT 'gone' || n, '', '{}', now() - interval '90 days', now(), now(), false FROM generate_series(1, $1::int / 5) n;
INSERT INTO offboardings (customer_id, step, begun_at, purge_at, due_at)
	SELECT 'gone' || n, CASE WHEN n % 2 = 0 THEN 'retain' ELSE 'purged' END, now(), now() + interval '30 days',
		CASE WHEN n % 2 = 0 THEN now() + n * interval '1 minute' END FROM generate_series(1, $1::int / 5) n;
UPDATE sync_configs SET next_deletion_scan_at = now() + abs(hashtext(customer_id)) % 600000 * interval '1 second',
	participations = customer_id LIKE 'c%0', next_participations_at = now() + abs(hashtext(customer_id)) % 3600 * interval '1 second';
INSERT INTO deletion_runs (customer_id, entity, job_id, trace_id, state, mapped, started_at, held_at, ended_at)
	SELECT 'c' || n % $1::int, 'user', n, n::text, CASE WHEN n <= $1::int / 100 THEN 'held' ELSE 'done' END, 10, now(), CASE WHEN n <= $1::int / 100 THEN now() END,
	       CASE WHEN n > $1::int / 100 THEN now() - n % 30 * interval '1 day' END FROM generate_series(1, 3 * $1::int) n;
INSERT INTO deletion_candidates (run_id, record_id, customer_id, state, source_updated_at, sealed, noted_at, deleted_at)
	SELECT n % (3 * $1::int) + 1, n::text, 'c' || n % $1::int, CASE WHEN n % 3 = 0 THEN 'found' ELSE 'deleted' END, now(), '\x00', now() - n % 30 * interval '1 day', now()
	FROM generate_series(1, 5 * $1::int) n;
INSERT INTO deletion_gifts (run_id, virtuous_gift_id, customer_id, state, noted_at, asked_at, deleted_at)
	SELECT n % (3 * $1::int) + 1, n, 'c' || n % $1::int, CASE WHEN n % 3 = 0 THEN 'found' ELSE 'deleted' END, now() - n % 30 * interval '1 day', now(), now()
	FROM generate_series(1, 5 * $1::int) n;
INSERT INTO mapping_archives (customer_id, users, sealed, archived_at) SELECT 'c' || n % $1::int, 1000, '\x00', now() FROM generate_series(1, 3 * $1::int) n;
INSERT INTO writebacks (customer_id, vomo_user_id, external_user_id, state, stamps, letter_id, requested_at, updated_at)
	SELECT 'c' || n % $1::int, n::text, 'crm-' || n, CASE WHEN n % 200 = 0 THEN 'waiting' WHEN n % 200 = 1 THEN 'review' WHEN n % 200 = 2 THEN 'letter' ELSE 'done' END,
	       '{}', CASE WHEN n % 200 = 2 THEN gen_random_uuid() END, now() - n % 1000 * interval '1 second', now() FROM generate_series(1, 5 * $1::int) n;
INSERT INTO writeback_holds SELECT 'c' || n, 'vomo_unavailable', NULL, 1, now(), now(), now() FROM generate_series(1, $1::int / 2) n;
INSERT INTO review_items (customer_id, kind, source_id, reason, decisions, state, created_at, settled_at)
	SELECT 'c' || n % $1::int, 'user', n, 'email_mismatch', '{dismiss}', CASE WHEN n % 50 = 0 THEN 'open' ELSE 'decided' END, now(),
	       CASE WHEN n % 50 > 0 THEN now() - n % 60 * interval '1 day' END FROM generate_series(1, 3 * $1::int) n;
INSERT INTO participations (customer_id, vomo_user_id, digest, summary_digest, sealed, refreshed_at)
	SELECT 'c' || n % $1::int, n::text, '\x00', '\x00', '\x00', now() FROM generate_series(1, 10 * $1::int) n;
INSERT INTO virtuous_configs (customer_id, enabled, disabled_reason, onboarded_at, designations_field, defaults, needs_review_after_hours, stuck_after_hours,
                              organization_id, organization_name, time_zone, culture, next_reconcile_at, next_report_at, updated_at)
	SELECT 'c' || n, n % 50 > 0, CASE WHEN n % 50 = 0 THEN 'auth_failed' END, now(), 'designations', '{}', 72, 24, n::text, 'Relief', 'US/Arizona', 'en-US',
	       now() + n % 21600 * interval '1 second', now() + n % 86400 * interval '1 second', now() FROM generate_series(1, $1::int / 2) n;
INSERT INTO virtuous_keys SELECT 'c' || n, now(), CASE WHEN n % 500 = 0 THEN now() END, CASE WHEN n % 500 = 0 THEN now() END FROM generate_series(1, $1::int / 2) n;
INSERT INTO virtuous_catalogs SELECT 'c' || n, name, '{}', now() FROM generate_series(1, $1::int / 2) n, unnest('{projects,gift_query_options,contact_query_options}'::text[]) name;
INSERT INTO giving_holds SELECT 'c' || n, 'virtuous_unavailable', NULL, 1, now(), now(), now() FROM generate_series(1, $1::int / 2) n;
INSERT INTO giving_leases SELECT 'c' || n, 7, 'h', now() - interval '5 minutes' + (n % 1000 / 995) * interval '10 minutes' FROM generate_series(1, $1::int) n;
INSERT INTO virtuous_oauth (customer_id, access_expires_at, refresh_at, refreshed_at)
	SELECT 'c' || n, now() + interval '10 days', now() + interval '9 days', now() - interval '5 days' FROM generate_series(1, $1::int, 2) n;
INSERT INTO access_grants (kind, name, customer_id, rights, secret_hash, created_at, expires_at, revoked_at)
	SELECT CASE WHEN n % 5 = 0 THEN 'token' ELSE 'link' END, CASE WHEN n % 5 = 0 THEN 'token ' || n END, CASE WHEN n % 10 <> 0 THEN 'c' || n % $1::int END, '{read}',
	       sha256(n::text::bytea), now(), now() + (n % 90 - 10) * interval '1 day', CASE WHEN n % 7 = 0 THEN now() - n % 400 * interval '1 day' END
	FROM generate_series(1, 2 * $1::int) n;
INSERT INTO console_sessions SELECT 'session ' || n, '\x00', now() - n % 480 * interval '1 minute', now() + n % 24 * interval '1 hour' FROM generate_series(1, 2 * $1::int) n;
INSERT INTO idempotency_keys (principal, key_hash, request_hash, holder, lease_until, customer_id, status, answer_sealed, created_at)
	SELECT 'token:' || n % 100, sha256(n::text::bytea), sha256(n::text::bytea), gen_random_uuid(), now(), CASE WHEN n % 3 > 0 THEN 'c' || n % $1::int END, 200, '\x00',
	       now() - n % 1500 * interval '1 minute' FROM generate_series(1, 5 * $1::int) n;
INSERT INTO virtuous_budgets (customer_id, next_at) SELECT 'c' || n, now() FROM generate_series(1, $1::int) n;
INSERT INTO virtuous_donation_queue (customer_id, platform_donation_id, status, transaction_source, donation_sealed, body_sealed, content_hash, next_attempt_at,
                                     submitted_at, next_lookup_at, confirmed_at, virtuous_gift_id, virtuous_contact_id, review_reason, trace_id, created_at, status_at, updated_at)
	SELECT 'c' || n % $1::int, 'don-' || n, status, 'AcmeGive', '\x00', '\x00', '\x00', CASE WHEN status = 'pending' THEN now() + n % 600 * interval '1 second' END,
	       CASE WHEN status IN ('submitted', 'needs_review', 'confirmed') THEN now() - n % 90 * interval '1 hour' END, CASE WHEN status = 'needs_review' THEN now() END,
	       CASE WHEN status = 'confirmed' THEN now() - n % 60 * interval '1 day' END, CASE WHEN status = 'confirmed' THEN n END,
	       CASE WHEN status = 'confirmed' THEN n / 3 END, CASE WHEN status = 'needs_review' THEN 'match_needed' END,
	       '00-' || md5(n::text) || '-00f067aa0ba902b7-01', now(), now(), now()
	FROM generate_series(1, 5 * $1::int) n, LATERAL (SELECT CASE WHEN n % 200 = 0 THEN 'pending' WHEN n % 200 < 4 THEN 'submitted' WHEN n % 200 = 4 THEN 'needs_review'
	       WHEN n % 200 = 5 THEN 'failed' WHEN n % 200 = 6 THEN 'closed' ELSE 'confirmed' END AS status) s;
INSERT INTO virtuous_contact_queue (customer_id, reference_source, reference_id, status, transaction_source, partner_sealed, partner_published_at, body_sealed,
                                    content_hash, next_attempt_at, submitted_at, next_lookup_at, confirmed_at, virtuous_contact_id, review_reason, compare_wanted_at,
                                    created_at, status_at, updated_at)
	SELECT 'c' || n % $1::int, 'acmegive', 'donor-' || n, status, 'AcmeGive', '\x00', now(), '\x00', '\x00', CASE WHEN status = 'pending' THEN now() + n % 600 * interval '1 second' END,
	       CASE WHEN status IN ('submitted', 'needs_review', 'confirmed') THEN now() - n % 90 * interval '1 hour' END, CASE WHEN status = 'needs_review' THEN now() END,
	       CASE WHEN status = 'confirmed' THEN now() - n % 60 * interval '1 day' END, CASE WHEN status = 'confirmed' THEN n END,
	       CASE WHEN status = 'needs_review' THEN 'match_needed' END, CASE WHEN status = 'confirmed' AND n % 200 = 9 THEN now() END, now(), now(), now()
	FROM generate_series(1, 3 * $1::int) n, LATERAL (SELECT CASE WHEN n % 200 = 0 THEN 'pending' WHEN n % 200 < 4 THEN 'submitted' WHEN n % 200 = 4 THEN 'needs_review'
	       WHEN n % 200 = 5 THEN 'failed' WHEN n % 200 = 6 THEN 'closed' ELSE 'confirmed' END AS status) s;
INSERT INTO contact_differences (customer_id, contact_id, field, state, reason, values_sealed, created_at, state_at)
	SELECT q.customer_id, q.id, f.field, s.state, CASE WHEN s.state = 'conflict' THEN 'no_rule' END, CASE WHEN s.state <> 'settled' THEN '\x00'::bytea END,
	       now(), now()
	FROM virtuous_contact_queue q, (VALUES ('email'), ('phone')) f (field),
	     LATERAL (SELECT CASE q.id % 50 WHEN 1 THEN 'partner_pending' WHEN 2 THEN 'conflict' ELSE 'settled' END AS state) s
	WHERE q.status = 'confirmed' AND q.id % 10 < 3;
INSERT INTO partner_gifts (customer_id, virtuous_gift_id, state, sync_state, amount, contact_id, transaction_source, transaction_id, modified_at, content_hash, sealed, created_at,
                           last_sync_at)
	SELECT 'c' || n % $1::int, n, 'live', CASE WHEN n % 500 = 0 THEN 'conflict' ELSE 'in_sync' END, 125, n / 3, 'AcmeGive', 'don-' || n, now(), '\x00', '\x00', now(), now()
	FROM generate_series(1, 5 * $1::int) n;
INSERT INTO partner_contacts (customer_id, virtuous_contact_id, state, sync_state, merged_into, modified_at, content_hash, sealed, created_at, last_sync_at)
	SELECT 'c' || n % $1::int, n, CASE WHEN n % 100 = 0 THEN 'merged' ELSE 'live' END, CASE WHEN n % 500 = 1 THEN 'conflict' ELSE 'in_sync' END,
	       CASE WHEN n % 100 = 0 THEN n + 1 END, now(), '\x00', '\x00', now(), now() FROM generate_series(1, 3 * $1::int) n;
INSERT INTO partner_references SELECT 'c' || n % $1::int, 'acmegive', 'donor-' || n, n, now() FROM generate_series(1, 3 * $1::int) n;
INSERT INTO webhook_inbox (customer_id, digest, event, records, sealed, state, next_attempt_at, received_at)
	SELECT 'c' || n % $1::int, n::text::bytea, 'gift_create', 20, '\x00', CASE WHEN n % 200 = 0 THEN 'waiting' ELSE 'applied' END,
	       CASE WHEN n % 200 = 0 THEN now() + n % 600 * interval '1 second' END, now() - n % 30 * interval '1 day' FROM generate_series(1, 3 * $1::int) n;
INSERT INTO webhook_subscriptions (customer_id, state, virtuous_webhook_id, payload_url, toggles, requested_at, updated_at)
	SELECT 'c' || n, 'active', n, 'https://hooks.example.org', '{giftCreate}', now(), now() FROM generate_series(1, $1::int) n;
INSERT INTO virtuous_reconciliation_log (customer_id, run_at, category, platform_record_id, virtuous_record_id, resolution)
	SELECT 'c' || n % $1::int, now() - n % 60 * interval '1 day', 'stuck', 'don-' || n, n, 'auto_recovered' FROM generate_series(1, 5 * $1::int) n;
INSERT INTO giving_reconciliations SELECT 'c' || n, 'stuck', 0, true, now(), '{}' FROM generate_series(1, $1::int) n;
INSERT INTO giving_reconciliations SELECT 'c' || n, 'report', 3, true, now(), '{}' FROM generate_series(1, $1::int / 10) n;
INSERT INTO giving_reports SELECT 'c' || n % $1::int, current_date - n / $1::int, '{}', now() - n / $1::int * interval '1 day' FROM generate_series(1, 3 * $1::int) n;
INSERT INTO endpoints (customer_id, topics, host, url_sealed, secret_sealed, due_at, created_at, updated_at)
	SELECT CASE WHEN n > 10 THEN 'c' || n END, '{*}', 'hooks.example.org', '\x00', '\x00', CASE WHEN n % 200 = 0 THEN now() END, now(), now()
	FROM generate_series(1, $1::int) n;
INSERT INTO endpoint_deliveries (endpoint_id, event_id, customer_id, topic, body, state, next_attempt_at, retry_until, created_at, settled_at)
	SELECT e.id, n::text, 'c' || e.id, 'dlq_growth', '\x00', CASE WHEN pending THEN 'pending' ELSE 'delivered' END, CASE WHEN pending THEN now() END, now(),
	       now() - n % 40 * interval '1 day', CASE WHEN NOT pending THEN now() - n % 40 * interval '1 day' END
	FROM generate_series(1, 5 * $1::int) n, LATERAL (SELECT n % 200 = 0 AS pending) p, endpoints e WHERE e.id = 1 + n % $1::int;
INSERT INTO dlq_drains (customer_id, verb, filter, as_of, planned, state, asked_by, done_count, due_at, created_at, ended_at)
	SELECT 'c' || n, 'retry', '{}', now(), 10, CASE WHEN n % 500 = 0 THEN 'running' ELSE 'done' END, 'ana@ops-1', 10, CASE WHEN n % 500 = 0 THEN now() END,
	       now() - n % 100 * interval '1 day', CASE WHEN n % 500 > 0 THEN now() - n % 100 * interval '1 day' END
	FROM generate_series(1, $1::int) n;
INSERT INTO dlq_drain_items (drain_id, letter_id, customer_id, outcome, reason, at)
	SELECT d.id, gen_random_uuid(), d.customer_id, CASE WHEN n = 1 THEN 'left' ELSE 'done' END, CASE WHEN n = 1 THEN 'in_hand' END, now()
	FROM dlq_drains d, generate_series(1, 5) n
