-- +goose Up
-- The W3C traceparent under which the message was handled, if that was sampled: what settles the request later goes on with the trace.
ALTER TABLE onboarding_requests ADD COLUMN trace_parent text;

-- +goose Down
ALTER TABLE onboarding_requests DROP COLUMN trace_parent;
