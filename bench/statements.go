package main

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// statementsShown is how many statements a report names, those first that cost the most.
const statementsShown = 16

// statementSettings are the settings of a Postgres that counts what statements cost, with the time that planning takes.
func statementSettings() []string {
	return []string{"shared_preload_libraries=pg_stat_statements", "pg_stat_statements.track_planning=on", "pg_stat_statements.track=all"}
}

// forgetStatements has Postgres count from now on, if it counts.
func (i *installation) forgetStatements(ctx context.Context) error {
	if !i.environment.opts.statements {
		return nil
	}
	return i.environment.postgres.with(ctx, "postgres", func(conn *pgx.Conn) error {
		if _, err := conn.Exec(ctx, "CREATE EXTENSION IF NOT EXISTS pg_stat_statements"); err != nil {
			return fmt.Errorf("create extension: %w", err)
		}
		if _, err := conn.Exec(ctx, "SELECT pg_stat_statements_reset()"); err != nil {
			return fmt.Errorf("forget statements: %w", err)
		}
		return nil
	})
}

// A statement is named by its first line, which for those that sqlc wrote is "-- name: PollsScheduleDue :many". What a function runs is
// listed beside the statement that called it.
const costliest = `
SELECT coalesce(substring(query FROM '^-- name: (\w+)'), left(regexp_replace(query, '\s+', ' ', 'g'), 40)) AS name,
       sum(calls)::float8, sum(total_exec_time + total_plan_time)::float8
FROM pg_stat_statements GROUP BY name ORDER BY 3 DESC LIMIT $1`

// addStatements adds what the costliest statements took, by the unit, if Postgres counts.
func (i *installation) addStatements(ctx context.Context, to figures, unit string, count int) error {
	if !i.environment.opts.statements {
		return nil
	}
	return i.environment.postgres.with(ctx, "postgres", func(conn *pgx.Conn) error {
		rows, err := conn.Query(ctx, costliest, statementsShown)
		if err != nil {
			return fmt.Errorf("read statements: %w", err)
		}
		var name string
		var calls, milliseconds float64
		_, err = pgx.ForEachRow(rows, []any{&name, &calls, &milliseconds}, func() error {
			to[figureStatement+unit+": "+name] = calls / float64(count)
			to[figureStatementTime+unit+": "+name] = milliseconds / float64(count)
			return nil
		})
		if err != nil {
			return fmt.Errorf("read statements: %w", err)
		}
		return nil
	})
}
