-- name: RunsRunning :many
-- RunsRunning returns what the runs under way have done since they began, and the time in which they worked.
SELECT customer_id, pages, processed, active_seconds FROM runs WHERE state = 'running';
