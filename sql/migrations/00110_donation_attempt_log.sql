-- +goose Up
-- The last attempts at a donation, oldest first: when each ended, how, the status and the request's id of the answer, and field names and codes of a
-- rejection. At most 20 are kept, and nothing of a donor.
ALTER TABLE virtuous_donation_queue ADD COLUMN attempt_log jsonb NOT NULL DEFAULT '[]';

-- Adds an entry to such a list. status 0 and empty texts stand for what is not known.
-- +goose StatementBegin
CREATE FUNCTION rollcall_attempts_with(entries jsonb, at timestamptz, verdict text, status integer, request_id text, error text) RETURNS jsonb
LANGUAGE sql STABLE AS $$
    SELECT (CASE WHEN jsonb_array_length(entries) >= 20 THEN entries - 0 ELSE entries END)
        || jsonb_build_array(jsonb_build_object('at', at, 'verdict', verdict, 'status', nullif(status, 0), 'requestId', nullif(request_id, ''),
                                                'error', nullif(left(error, 300), '')))
$$;
-- +goose StatementEnd

-- +goose Down
ALTER TABLE virtuous_donation_queue DROP COLUMN attempt_log;
DROP FUNCTION rollcall_attempts_with;
