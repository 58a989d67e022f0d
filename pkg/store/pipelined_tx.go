package store

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"rollcall.dev/pkg/store/internal/db"
)

// pipelinedTx is a transaction whose errors arrive late: it defers statements until the answer of one is needed, and then sends
// them all at once, BEGIN and COMMIT among them. A page's transaction takes two round trips in this way instead of six; the
// way to Postgres and back costs both sides more than most of its statements.
//
// A deferred statement's error comes with a later statement, or with the commit. It names the statement that failed.
type pipelinedTx struct {
	conn    *pgxpool.Conn
	tx      pgx.Tx // nil until something was sent
	batch   *pgx.Batch
	answers []func(pgx.BatchResults) error // reads the answer of each statement in the batch, in order
	failed  error                          // the first failure: nothing is sent after it, also if a caller ignored it
}

func newPipelinedTx(conn *pgxpool.Conn) *pipelinedTx {
	p := &pipelinedTx{conn: conn, batch: &pgx.Batch{}}
	p.batch.BeginTx(pgx.TxOptions{})
	p.answers = append(p.answers, func(results pgx.BatchResults) error {
		_, err := results.Exec()
		return mapError("begin transaction", err)
	})
	return p
}

// add puts a statement into the batch; answer reads what came of it.
func (p *pipelinedTx) add(sql string, arguments []any, answer func(pgx.BatchResults) error) {
	p.batch.Queue(sql, arguments...)
	p.answers = append(p.answers, func(results pgx.BatchResults) error {
		if err := answer(results); err != nil {
			return mapError(operationOf(sql), err)
		}
		return nil
	})
}

// send sends the batch and reads the answers up to the first that is an error.
func (p *pipelinedTx) send(ctx context.Context) error {
	if len(p.answers) == 0 || p.failed != nil {
		return p.failed
	}
	results := p.conn.SendBatch(ctx, p.batch)
	var err error
	for _, answer := range p.answers {
		if err = answer(results); err != nil {
			break
		}
	}
	if p.tx == nil {
		p.tx = results.Tx()
	}
	// After an error the connection repeats that error here.
	if closed := results.Close(); err == nil {
		err = mapError("end of statements", closed)
	}
	p.batch, p.answers, p.failed = &pgx.Batch{}, nil, err
	return p.failed
}

// Exec sends what is deferred together with this statement.
func (p *pipelinedTx) Exec(ctx context.Context, sql string, arguments ...any) (pgconn.CommandTag, error) {
	var tag pgconn.CommandTag
	p.add(sql, arguments, func(results pgx.BatchResults) (err error) {
		tag, err = results.Exec()
		return err
	})
	err := p.send(ctx)
	return tag, err
}

// Query sends what is deferred first.
func (p *pipelinedTx) Query(ctx context.Context, sql string, arguments ...any) (pgx.Rows, error) {
	if err := p.send(ctx); err != nil {
		return nil, err
	}
	return p.tx.Query(ctx, sql, arguments...)
}

// QueryRow sends what is deferred together with this statement, as soon as its row is read.
func (p *pipelinedTx) QueryRow(ctx context.Context, sql string, arguments ...any) pgx.Row {
	return unsentRow(func(into []any) error {
		if p.failed != nil {
			return p.failed
		}
		var none error
		p.add(sql, arguments, func(results pgx.BatchResults) error {
			err := results.QueryRow().Scan(into...)
			if errors.Is(err, pgx.ErrNoRows) { // an answer, after which the transaction goes on
				none, err = err, nil
			}
			return err
		})
		if err := p.send(ctx); err != nil {
			return err
		}
		return none
	})
}

// commit commits together with what is deferred. If a deferred statement fails, Postgres skips all that follow it, the commit
// too.
func (p *pipelinedTx) commit(ctx context.Context) error {
	p.add("commit", nil, func(results pgx.BatchResults) error {
		tag, err := results.Exec()
		if err == nil && tag.String() != "COMMIT" { // Postgres says ROLLBACK of a transaction that had failed before
			err = errors.New("the transaction was rolled back")
		}
		return mapError("commit", err)
	})
	return p.send(ctx)
}

func (p *pipelinedTx) rollback(ctx context.Context) error {
	if p.tx == nil {
		return nil // nothing was sent
	}
	if err := p.tx.Rollback(ctx); err != nil && !errors.Is(err, pgx.ErrTxClosed) {
		return mapError("roll back", err)
	}
	return nil
}

// unsentRow is a row whose statement is sent when the row is read.
type unsentRow func(into []any) error

// Scan sends the statement and reads its row.
func (r unsentRow) Scan(into ...any) error { return r(into) }

// deferred runs a statement of which only a failure matters. A pipelined transaction defers it.
func (t *Tx) deferred(statement func(on db.DBTX) error) error {
	if t.pipelined == nil {
		return statement(t.dbtx)
	}
	t.pipelined.deferStatement(statement, func(results pgx.BatchResults) error {
		_, err := results.Exec()
		return err
	})
	return nil
}

// deferStatement defers a statement as sqlc wrote it; answer reads what came of it.
func (p *pipelinedTx) deferStatement(statement func(on db.DBTX) error, answer func(pgx.BatchResults) error) {
	captured := capture(statement)
	p.add(captured.sql, captured.arguments, answer)
}

// capturedStatement takes a statement that sqlc wrote instead of running it.
type capturedStatement struct {
	sql       string
	arguments []any
}

func capture(statement func(on db.DBTX) error) capturedStatement {
	var captured capturedStatement
	_ = statement(&captured) // it was not run, so this is nil or errCaptured
	return captured
}

// Exec takes the statement.
func (c *capturedStatement) Exec(_ context.Context, sql string, arguments ...any) (pgconn.CommandTag, error) {
	c.sql, c.arguments = sql, arguments
	return pgconn.CommandTag{}, nil
}

// QueryRow takes the statement.
func (c *capturedStatement) QueryRow(_ context.Context, sql string, arguments ...any) pgx.Row {
	c.sql, c.arguments = sql, arguments
	return unsentRow(func([]any) error { return errCaptured })
}

// Query ends with errCaptured: the code that sqlc wrote would go on to read rows.
func (c *capturedStatement) Query(_ context.Context, sql string, arguments ...any) (pgx.Rows, error) {
	c.sql, c.arguments = sql, arguments
	return nil, errCaptured
}

var errCaptured = errors.New("the statement was captured")
