package localserver

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
)

// SetClock has rollcall's clock in a database be ahead of the real one. All services live by that clock (docs/decisions/0006). It is for a
// demonstration or a test in which days pass: nothing sets the clock back when it has ended.
func SetClock(ctx context.Context, databaseURL string, ahead time.Duration) error {
	conn, err := pgx.Connect(ctx, databaseURL)
	if err != nil {
		return fmt.Errorf("set the clock: %w", err)
	}
	seconds := strconv.FormatFloat(ahead.Seconds(), 'f', -1, 64)
	_, err = conn.Exec(ctx, `CREATE OR REPLACE FUNCTION rollcall_now() RETURNS timestamptz LANGUAGE sql STABLE AS
		'SELECT now() + interval ''`+seconds+` seconds'''`)
	if err = errors.Join(err, conn.Close(ctx)); err != nil {
		return fmt.Errorf("set the clock: %w", err)
	}
	return nil
}
