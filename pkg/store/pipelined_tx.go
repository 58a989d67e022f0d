package store

import (
	"context"
	"errors"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"rollcall.dev/pkg/store/internal/db"
)

// pipelinedTx is a transaction whose errors arrive late: it defers statements until the answer of one is needed, and then sends
// them all at once, BEGIN among them. A page's transaction takes one round trip in this way instead of six; the way to Postgres and
// back costs both sides more than most of its statements.
//
// A deferred statement's error comes with a later statement, or with the commit. It names the statement that failed.
type pipelinedTx struct {
	conn     *pgxpool.Conn
	tx       pgx.Tx // nil until something was sent
	deferred []deferredStatement
	failed   error // the first failure: nothing is sent after it, also if a caller ignored it

	committing     bool
	whenCommitSent func()
}

// deferredStatement is a statement that is not sent yet; answer reads what came of it.
type deferredStatement struct {
	sql       string
	arguments []any
	answer    func(pgx.BatchResults) error
}

const (
	beginSQL  = "begin"
	commitSQL = "commit"
)

func newPipelinedTx(conn *pgxpool.Conn) *pipelinedTx { return &pipelinedTx{conn: conn} }

// add defers a statement; answer reads what came of it.
func (p *pipelinedTx) add(sql string, arguments []any, answer func(pgx.BatchResults) error) {
	p.deferred = append(p.deferred, deferredStatement{sql: sql, arguments: arguments, answer: answer})
}

// send sends what is deferred, and begins the transaction if it has not begun.
func (p *pipelinedTx) send(ctx context.Context) error {
	if p.failed != nil || p.tx != nil && len(p.deferred) == 0 {
		return p.failed
	}
	batch := &pgx.Batch{}
	if p.tx != nil {
		return p.sendIn(ctx, batch, "end of statements")
	}
	batch.BeginTx(pgx.TxOptions{})
	p.deferred = slices.Insert(p.deferred, 0, deferredStatement{sql: beginSQL, answer: func(results pgx.BatchResults) error {
		_, err := results.Exec()
		return err
	}})
	return p.sendIn(ctx, batch, "end of statements")
}

// sendIn sends what is deferred in the batch, which may have the BEGIN already, and reads the answers up to the first that is an error. end
// names what fails after the last of them.
func (p *pipelinedTx) sendIn(ctx context.Context, batch *pgx.Batch, end string) error {
	for _, statement := range p.deferred[len(batch.QueuedQueries):] {
		batch.Queue(statement.sql, statement.arguments...)
	}
	results := p.conn.SendBatch(ctx, batch)
	// If nothing could be sent, the connection is closed, or the context was over before.
	if p.committing && p.whenCommitSent != nil && ctx.Err() == nil && !p.conn.Conn().IsClosed() {
		p.whenCommitSent()
	}
	var err error
	for _, statement := range p.deferred {
		if err = statement.answer(results); err != nil {
			err = mapError(operationOf(statement.sql), err)
			break
		}
	}
	if p.tx == nil {
		p.tx = results.Tx()
	}
	// After an error the connection repeats that error here. If the batch was a whole transaction, its commit fails here.
	if closed := results.Close(); err == nil {
		err = mapError(end, closed)
	}
	p.deferred, p.failed = nil, err
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
// too. If nothing was sent before, the statements are a transaction by being sent together: Postgres takes what comes up to the end of
// a batch as one, and needs neither a BEGIN nor a COMMIT.
func (p *pipelinedTx) commit(ctx context.Context) error {
	p.committing = true
	if p.tx == nil && p.failed == nil {
		return p.sendIn(ctx, &pgx.Batch{}, commitSQL)
	}
	p.add(commitSQL, nil, func(results pgx.BatchResults) error {
		tag, err := results.Exec()
		if err == nil && tag.String() != "COMMIT" { // Postgres says ROLLBACK of a transaction that had failed before
			err = errors.New("the transaction was rolled back")
		}
		return err
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

// WhenCommitSent has sent called when a pipelined transaction's last statements and its commit were given to the connection. Postgres
// carries them out from then on also if this process ends. It may still reject them; the transaction returns that as ever.
func (t *Tx) WhenCommitSent(sent func()) { t.pipelined.whenCommitSent = sent }

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
