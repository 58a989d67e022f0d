-- name: Now :one
-- Now returns the database's clock.
SELECT rollcall_now()::timestamptz AS now;

-- name: ServerFacts :one
-- ServerFacts returns what the Postgres server says about itself. Clock is its own, whatever rollcall_now() says.
SELECT current_setting('server_version_num')::int AS version, current_setting('max_connections')::int AS max_connections,
       (SELECT count(*) FROM pg_catalog.pg_stat_activity WHERE datid IS NOT NULL)::int AS connections,
       clock_timestamp()::timestamptz AS clock;
