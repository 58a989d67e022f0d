package store

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// errNotPostgresURL replaces pgx's own error, which repeats the URL and masks only the part that it parses as the password. The URL
// must not get into logs.
var errNotPostgresURL = errors.New("DATABASE_URL is not a Postgres URL: expected postgres://user:password@host:port/database")

// Store is the pool. Each statement on it is a transaction of its own.
type Store struct {
	Conn
	pool   atomic.Pointer[pgxpool.Pool]
	outbox chan struct{} // wakes the relay after a commit that left messages
}

// Tx is one transaction. InTx sends each statement by itself; InLane pipelines them, so that errors arrive late.
type Tx struct {
	Conn
	pipelined    *pipelinedTx // nil in InTx
	lease        *Lease       // nil but in InLane
	releasesLane bool
	owesMessages bool
}

// Options bound the pool. The zero value is good for a service.
type Options struct {
	MaxConns int32 // default 16
	// IdleInTransaction is how long a transaction may be idle before Postgres ends it: a worker that is stopped in the middle
	// of a transaction must not hold the lane's row for as long as a claim lasts. Default 10 s.
	IdleInTransaction time.Duration
}

const (
	defaultMaxConns  = 16
	connectTimeout   = 5 * time.Second
	defaultIdle      = 10 * time.Second
	statementTimeout = "60s"
	rollbackTimeout  = 5 * time.Second
)

// Open connects to the database at databaseURL. It checks that the database answers, accepts writes (otherwise ErrReadOnly) and
// keeps sessions (otherwise ErrTransactionPooler).
func Open(ctx context.Context, databaseURL string, options Options) (*Store, error) {
	config, err := pgxpool.ParseConfig(databaseURL)
	if err != nil {
		return nil, errNotPostgresURL
	}
	switch {
	case options.MaxConns != 0:
		config.MaxConns = options.MaxConns
	case !namesMaxConns(databaseURL):
		config.MaxConns = defaultMaxConns
	}
	config.ConnConfig.ConnectTimeout = connectTimeout
	idle := options.IdleInTransaction
	if idle <= 0 {
		idle = defaultIdle
	}
	var pooled atomic.Bool
	prepareSessions(config.ConnConfig, func() { pooled.Store(true) },
		setting{"idle_in_transaction_session_timeout", strconv.FormatInt(idle.Milliseconds(), 10)},
		setting{"statement_timeout", statementTimeout})
	s := &Store{outbox: make(chan struct{}, 1)}
	// A server that has become a standby keeps its sessions. The first session that cannot write has the pool close all of
	// them, so that each of the others does not fail a statement first.
	config.ConnConfig.OnPgError = func(_ *pgconn.PgConn, raised *pgconn.PgError) bool {
		if raised.Code == codeReadOnly {
			s.dropSessions()
			return false // closes this one
		}
		return !strings.EqualFold(raised.Severity, "FATAL")
	}
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("open pool: %w", err)
	}
	s.pool.Store(pool)
	s.Conn = newConn(pool)
	err = s.Ping(ctx)
	if err == nil && pooled.Load() {
		err = checkPooler(ctx, config.ConnConfig)
	}
	if err != nil {
		pool.Close()
		return nil, err
	}
	return s, nil
}

// namesMaxConns says whether databaseURL has the size of the pool.
func namesMaxConns(databaseURL string) bool {
	config, err := pgx.ParseConfig(databaseURL)
	return err == nil && config.RuntimeParams["pool_max_conns"] != ""
}

// dropSessions closes every session of the pool: idle ones at once, others when they are released.
func (s *Store) dropSessions() {
	if pool := s.pool.Load(); pool != nil {
		pool.Reset()
	}
}

// Close waits for running statements and closes the pool.
func (s *Store) Close() { s.pool.Load().Close() }

// Ping checks that Postgres answers and accepts writes. It returns ErrReadOnly if Postgres accepts no writes.
func (s *Store) Ping(ctx context.Context) error {
	readOnly, err := s.queries.ServerReadOnly(ctx, s.pool.Load())
	if err == nil && readOnly {
		s.dropSessions()
		err = ErrReadOnly
	}
	return mapError("reach Postgres", err)
}

// InTx runs work in a transaction and commits it if work returns nil. Messages that work put into the outbox are published
// after the commit.
func (s *Store) InTx(ctx context.Context, work func(ctx context.Context, tx *Tx) error) (err error) {
	ptx, err := s.pool.Load().Begin(ctx)
	if err != nil {
		return mapError("begin transaction", err)
	}
	defer func() {
		if ptx == nil {
			return
		}
		// The caller's context may have ended, so the rollback has its own.
		rollback, cancel := context.WithTimeout(context.WithoutCancel(ctx), rollbackTimeout)
		defer cancel()
		if rerr := ptx.Rollback(rollback); rerr != nil && !errors.Is(rerr, pgx.ErrTxClosed) {
			err = errors.Join(err, mapError("roll back", rerr))
		}
	}()
	tx := &Tx{Conn: newConn(ptx)}
	if err := work(ctx, tx); err != nil {
		return err
	}
	if err := ptx.Commit(ctx); err != nil {
		return mapError("commit", err)
	}
	ptx = nil
	if tx.owesMessages {
		s.wakeRelay()
	}
	return nil
}

// InPipelinedTx does what InTx does, with fewer round trips: a statement of which only a failure matters is sent with the next one whose answer
// is needed, or with the commit, and its error comes then.
func (s *Store) InPipelinedTx(ctx context.Context, work func(ctx context.Context, tx *Tx) error) (err error) {
	conn, err := s.pool.Load().Acquire(ctx)
	if err != nil {
		return mapError("begin transaction", err)
	}
	defer conn.Release() // closes the connection if the transaction has not ended
	pipelined := newPipelinedTx(conn)
	committed := false
	defer func() {
		if committed {
			return
		}
		// As in InTx.
		rollback, cancel := context.WithTimeout(context.WithoutCancel(ctx), rollbackTimeout)
		defer cancel()
		err = errors.Join(err, pipelined.rollback(rollback))
	}()
	tx := &Tx{Conn: newConn(pipelined), pipelined: pipelined}
	if err := work(ctx, tx); err != nil {
		return err
	}
	if err := pipelined.commit(ctx); err != nil {
		return err
	}
	committed = true
	if tx.owesMessages {
		s.wakeRelay()
	}
	return nil
}

func (s *Store) wakeRelay() {
	select {
	case s.outbox <- struct{}{}:
	default: // the relay has been woken already
	}
}
