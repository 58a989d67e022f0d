-- name: NotificationChannels :many
SELECT channel FROM notifications WHERE message_id = $1;

-- name: NotificationInsertIfNew :exec
INSERT INTO notifications (message_id, channel, outcome, error_code, sent_at)
VALUES (sqlc.arg(message_id), sqlc.arg(channel), sqlc.arg(outcome), sqlc.narg(error_code), rollcall_now())
ON CONFLICT (message_id, channel) DO NOTHING;

-- name: NotificationsForgetOld :execrows
DELETE FROM notifications
WHERE ctid = ANY(ARRAY(
    SELECT n.ctid FROM notifications n WHERE n.sent_at < rollcall_now() - sqlc.arg(older_than)::interval
    ORDER BY n.sent_at LIMIT sqlc.arg(at_most) FOR UPDATE SKIP LOCKED));
