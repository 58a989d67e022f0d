-- name: ReleaseAlertSummary :exec
-- ReleaseAlertSummary gives a summary that could not be sent on all channels to the next caller.
UPDATE alert_arrivals SET claimed_at = NULL WHERE summary_id = sqlc.arg(summary_id)::text AND summed_at IS NULL;

-- name: NoteAlertSummarySent :exec
-- NoteAlertSummarySent notes that all channels had a summary, for each of its alerts: the end of an alert waits for that.
WITH named AS (UPDATE alert_arrivals SET summed_at = rollcall_now()
               WHERE summary_id = sqlc.arg(summary_id)::text AND summed_at IS NULL RETURNING message_id)
INSERT INTO notifications (message_id, channel, outcome, error_code, sent_at)
SELECT m.message_id, n.channel, n.outcome, coalesce(n.error_code, 'in_summary'), rollcall_now()
FROM named m CROSS JOIN notifications n WHERE n.message_id = sqlc.arg(summary_id)::text
ON CONFLICT (message_id, channel) DO NOTHING;

-- name: ForgetAlertArrivals :execrows
-- ForgetAlertArrivals deletes up to atMost alerts that arrived before age and wait for nothing. It returns how many it deleted.
DELETE FROM alert_arrivals
WHERE ctid = ANY(ARRAY(
    SELECT a.ctid FROM alert_arrivals a
    WHERE a.arrived_at < rollcall_now() - sqlc.arg(age)::interval AND (a.summed_at IS NOT NULL OR NOT a.gathered)
    ORDER BY a.arrived_at LIMIT sqlc.arg(at_most)::integer FOR UPDATE SKIP LOCKED));
