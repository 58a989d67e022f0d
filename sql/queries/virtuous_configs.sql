-- name: VirtuousConfigUpsert :exec
-- Switches giving on. It keeps the time of the first onboarding, unless giving starts anew: after a removal, or with another organization.
INSERT INTO virtuous_configs (customer_id, enabled, onboarded_at, transaction_source, designations_field, defaults, needs_review_after_hours,
                              stuck_after_hours, imports_url, gifts_since, create_webhook, resolution, organization_id, organization_name, time_zone,
                              culture, updated_at)
VALUES (sqlc.arg(customer_id), true, rollcall_now(), nullif(sqlc.arg(transaction_source)::text, ''), sqlc.arg(designations_field), sqlc.arg(defaults),
        sqlc.arg(needs_review_after_hours), sqlc.arg(stuck_after_hours), nullif(sqlc.arg(imports_url)::text, ''), nullif(sqlc.arg(gifts_since)::text, '')::date, sqlc.arg(create_webhook),
        sqlc.arg(resolution), sqlc.arg(organization_id), sqlc.arg(organization_name), sqlc.arg(time_zone), sqlc.arg(culture), rollcall_now())
ON CONFLICT (customer_id) DO UPDATE SET
    enabled = true, disabled_reason = NULL, removed_at = NULL,
    onboarded_at = CASE WHEN virtuous_configs.removed_at IS NULL AND virtuous_configs.organization_id = excluded.organization_id
                        THEN virtuous_configs.onboarded_at ELSE rollcall_now() END,
    transaction_source = excluded.transaction_source, designations_field = excluded.designations_field, defaults = excluded.defaults,
    needs_review_after_hours = excluded.needs_review_after_hours, stuck_after_hours = excluded.stuck_after_hours,
    imports_url = excluded.imports_url, gifts_since = excluded.gifts_since, create_webhook = excluded.create_webhook,
    resolution = excluded.resolution,
    organization_id = excluded.organization_id, organization_name = excluded.organization_name, time_zone = excluded.time_zone,
    culture = excluded.culture, updated_at = rollcall_now();

-- name: VirtuousConfigChange :exec
-- An operator's change of the settings: it switches nothing on.
UPDATE virtuous_configs
SET transaction_source = nullif(sqlc.arg(transaction_source)::text, ''), designations_field = sqlc.arg(designations_field), defaults = sqlc.arg(defaults),
    needs_review_after_hours = sqlc.arg(needs_review_after_hours), stuck_after_hours = sqlc.arg(stuck_after_hours),
    imports_url = nullif(sqlc.arg(imports_url)::text, ''), gifts_since = nullif(sqlc.arg(gifts_since)::text, '')::date, create_webhook = sqlc.arg(create_webhook),
    resolution = sqlc.arg(resolution), updated_at = rollcall_now()
WHERE customer_id = sqlc.arg(customer_id);

-- name: VirtuousConfigDisable :execrows
UPDATE virtuous_configs SET enabled = false, disabled_reason = sqlc.arg(reason)::text, updated_at = rollcall_now(),
    removed_at = CASE WHEN sqlc.arg(reason)::text = 'removed' THEN rollcall_now() END
WHERE customer_id = sqlc.arg(customer_id) AND (enabled OR (disabled_reason <> 'removed' AND sqlc.arg(reason)::text = 'removed'));

-- name: VirtuousConfigSwitchOn :execrows
-- The key was not the customer's fault.
UPDATE virtuous_configs SET enabled = true, disabled_reason = NULL, updated_at = rollcall_now()
WHERE customer_id = sqlc.arg(customer_id) AND disabled_reason = 'auth_failed';

-- name: SyncConfigInsertForGiving :one
-- A customer with Virtuous alone: it has no destination, so that nothing reads from VOMO for it. One that was offboarded returns.
INSERT INTO sync_configs (customer_id, external_system_url, destination, admin_email, enabled, onboarded_at, updated_at)
VALUES (sqlc.arg(customer_id), '', '{}', sqlc.narg(admin_email), true, rollcall_now(), rollcall_now())
ON CONFLICT (customer_id) DO UPDATE SET
    admin_email = coalesce(excluded.admin_email, sync_configs.admin_email),
    onboarded_at = CASE WHEN sync_configs.offboarded_at IS NULL THEN sync_configs.onboarded_at ELSE rollcall_now() END,
    enabled = sync_configs.enabled OR sync_configs.offboarded_at IS NOT NULL,
    disabled_reason = CASE WHEN sync_configs.offboarded_at IS NULL THEN sync_configs.disabled_reason END,
    paused_at = CASE WHEN sync_configs.offboarded_at IS NULL THEN sync_configs.paused_at END,
    offboarded_at = NULL, updated_at = rollcall_now()
RETURNING onboarded_at;

-- name: GivingHold :exec
INSERT INTO giving_holds (customer_id, reason, detail, holds, since, noted_at, until)
VALUES (sqlc.arg(customer_id), sqlc.arg(reason), nullif(sqlc.arg(detail)::text, ''), 1, rollcall_now(), rollcall_now(),
        rollcall_now() + sqlc.arg(delay)::interval)
ON CONFLICT (customer_id) DO UPDATE
SET reason = excluded.reason, detail = excluded.detail, holds = giving_holds.holds + 1, noted_at = excluded.noted_at, until = excluded.until;

-- name: GivingRelease :exec
DELETE FROM giving_holds WHERE customer_id = $1;

-- name: GivingReleaseForReads :exec
-- A read that Virtuous answers says nothing of what the key may submit.
DELETE FROM giving_holds WHERE customer_id = $1 AND reason <> 'virtuous_forbidden';

-- name: GivingHoldOf :one
SELECT reason, coalesce(detail, '')::text AS detail, holds, since, until FROM giving_holds WHERE customer_id = $1;

-- name: DonationCounts :one
-- Each count reads one partial index. The year 1970 means that there is none.
SELECT (SELECT count(*) FROM virtuous_donation_queue p WHERE p.customer_id = sqlc.arg(customer_id) AND p.status = 'pending') AS pending,
       coalesce((SELECT min(o.created_at) FROM virtuous_donation_queue o WHERE o.customer_id = sqlc.arg(customer_id) AND o.status = 'pending'), '1970-01-01T00:00:00Z')::timestamptz AS pending_since,
       (SELECT count(*) FROM virtuous_donation_queue s WHERE s.customer_id = sqlc.arg(customer_id) AND s.status = 'submitted') AS submitted,
       coalesce((SELECT min(t.submitted_at) FROM virtuous_donation_queue t WHERE t.customer_id = sqlc.arg(customer_id) AND t.status = 'submitted'), '1970-01-01T00:00:00Z')::timestamptz AS submitted_since,
       (SELECT count(*) FROM virtuous_donation_queue r WHERE r.customer_id = sqlc.arg(customer_id) AND r.status = 'needs_review') AS needs_review,
       (SELECT count(*) FROM virtuous_donation_queue f WHERE f.customer_id = sqlc.arg(customer_id) AND f.status = 'failed') AS failed,
       coalesce((SELECT min(g.status_at) FROM virtuous_donation_queue g WHERE g.customer_id = sqlc.arg(customer_id) AND g.status = 'failed'), '1970-01-01T00:00:00Z')::timestamptz AS failed_since,
       ((SELECT count(*) FROM partner_gifts c WHERE c.customer_id = sqlc.arg(customer_id) AND c.sync_state <> 'in_sync' AND c.sync_state = 'conflict')
      + (SELECT count(*) FROM partner_contacts d WHERE d.customer_id = sqlc.arg(customer_id) AND d.sync_state <> 'in_sync' AND d.sync_state = 'conflict'))::bigint AS conflict;

-- name: DonationsUnfinished :many
-- What an offboarding would end: the ids of donations that are not in Virtuous yet, the oldest first.
SELECT q.platform_donation_id, q.status FROM virtuous_donation_queue q
WHERE q.customer_id = sqlc.arg(customer_id) AND q.id = ANY(ARRAY(
    (SELECT p.id FROM virtuous_donation_queue p WHERE p.customer_id = sqlc.arg(customer_id) AND p.status = 'pending'
     ORDER BY p.next_attempt_at, p.id LIMIT sqlc.arg(at_most))
    UNION ALL
    (SELECT s.id FROM virtuous_donation_queue s WHERE s.customer_id = sqlc.arg(customer_id) AND s.status = 'submitted'
     ORDER BY s.submitted_at, s.id LIMIT sqlc.arg(at_most))))
ORDER BY q.id LIMIT sqlc.arg(at_most);

-- name: VirtuousNoteWebhook :exec
-- Written once a minute at most.
UPDATE virtuous_configs SET last_webhook_at = rollcall_now()
WHERE customer_id = $1 AND (last_webhook_at IS NULL OR last_webhook_at < rollcall_now() - interval '1 minute');

-- name: VirtuousNoteReconciled :exec
UPDATE virtuous_configs SET last_reconciled_at = rollcall_now() WHERE customer_id = $1;

-- name: GivingHeldFor :many
-- Holds of all giving, and of categories of reconciliation alone.
SELECT h.customer_id, h.reason, h.detail, h.since, h.until, h.holds FROM giving_holds h
WHERE h.customer_id = ANY(sqlc.arg(customer_ids)::text[])
UNION ALL
SELECT r.customer_id, r.fault, NULL, coalesce(min(r.fault_since), rollcall_now()), coalesce(min(r.not_before), rollcall_now()), max(r.failures) FROM giving_reconciliations r
WHERE r.customer_id = ANY(sqlc.arg(customer_ids)::text[]) AND r.failures > 0
GROUP BY r.customer_id, r.fault;
