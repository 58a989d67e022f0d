-- name: NotifiedChannels :many
-- NotifiedChannels returns the channels that need nothing more of a message.
SELECT channel FROM notifications WHERE message_id = sqlc.arg(message_id);

-- name: NoteNotification :exec
-- NoteNotification notes the outcome of a message on a channel, after it was sent: after a crash in between it is sent once
-- more. The first note stays.
INSERT INTO notifications (message_id, channel, outcome, error_code, sent_at)
VALUES (sqlc.arg(message_id), sqlc.arg(channel), sqlc.arg(outcome), nullif(sqlc.arg(code)::text, ''), rollcall_now())
ON CONFLICT (message_id, channel) DO NOTHING;

-- name: ForgetNotifications :execrows
-- ForgetNotifications deletes up to atMost notes that are older than age. It returns how many it deleted.
DELETE FROM notifications
WHERE ctid = ANY(ARRAY(
    SELECT n.ctid FROM notifications n WHERE n.sent_at < rollcall_now() - sqlc.arg(age)::interval
    ORDER BY n.sent_at LIMIT sqlc.arg(at_most)::integer FOR UPDATE SKIP LOCKED));
