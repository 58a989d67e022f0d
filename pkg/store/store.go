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

	"rollcall.dev/pkg/store/internal/db"
)

// ErrNotFound says that the row asked for does not exist.
var ErrNotFound = errors.New("not found")

// errNotPostgresURL stands for pgx's own error, which repeats the URL with only what it takes for the password
// masked; the URL stays out of logs altogether.
var errNotPostgresURL = errors.New("DATABASE_URL is not a Postgres URL: expected postgres://user:password@host:port/database")

// Conn is what statements run on: the pool, or one transaction.
type Conn struct {
	queries *db.Queries
	dbtx    db.DBTX
}

// Store is the pool with every statement on it, each in a transaction of its own.
type Store struct {
	Conn
	pool   atomic.Pointer[pgxpool.Pool]
	outbox chan struct{} // told, without waiting, after a commit that left messages
}

// Tx is one transaction.
type Tx struct {
	Conn
	together     *together // nil where each statement is sent by itself
	owesMessages bool
}

// Options bound the pool. The zero value is good for a service.
type Options struct {
	MaxConns int32 // default 16
	// IdleInTransaction is how long a transaction may stand still before Postgres ends it: a worker that is
	// stopped in mid-transaction must not hold the lane's row for as long as a claim lasts. Default 10 s.
	IdleInTransaction time.Duration
}

const (
	defaultMaxConns  = 16
	connectTimeout   = 5 * time.Second
	defaultIdle      = 10 * time.Second
	statementTimeout = "60s"
	rollbackTimeout  = 5 * time.Second
)

// Open connects to the database at databaseURL and checks that it answers, takes writes, and keeps sessions:
// ErrReadOnly, ErrTransactionPooler.
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
	s := &Store{Conn: Conn{queries: db.New()}, outbox: make(chan struct{}, 1)}
	// A server that has become a standby keeps the sessions that it has. All of the pool are given up with the first
	// that cannot write, so that each of the others does not fail a statement first.
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
	s.dbtx = pool
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

// namesMaxConns says whether databaseURL says how large the pool may be.
func namesMaxConns(databaseURL string) bool {
	config, err := pgx.ParseConfig(databaseURL)
	return err == nil && config.RuntimeParams["pool_max_conns"] != ""
}

// dropSessions has every session of the pool closed: idle ones at once, others when they are given back.
func (s *Store) dropSessions() {
	if pool := s.pool.Load(); pool != nil {
		pool.Reset()
	}
}

// Close waits for statements under way and closes the pool.
func (s *Store) Close() { s.pool.Load().Close() }

// Ping asks whether Postgres answers and takes writes: ErrReadOnly if it does not.
func (s *Store) Ping(ctx context.Context) error {
	readOnly, err := s.queries.ServerReadOnly(ctx, s.dbtx)
	if err == nil && readOnly {
		s.dropSessions()
		err = ErrReadOnly
	}
	if err != nil {
		return fmt.Errorf("reach Postgres: %w", marked(err))
	}
	return nil
}

// InTx runs work in a transaction and commits it where work returns nil. Messages put into the outbox by
// work are published only after the commit.
func (s *Store) InTx(ctx context.Context, work func(ctx context.Context, tx *Tx) error) error {
	return s.inTx(ctx, work)
}

func (s *Store) inTx(ctx context.Context, work func(ctx context.Context, tx *Tx) error) (err error) {
	ptx, err := s.pool.Load().Begin(ctx)
	if err != nil {
		return fmt.Errorf("begin transaction: %w", marked(err))
	}
	defer func() {
		if ptx == nil {
			return
		}
		// The caller's context may be the reason why we are here: the rollback needs one of its own.
		rollback, cancel := context.WithTimeout(context.WithoutCancel(ctx), rollbackTimeout)
		defer cancel()
		if rerr := ptx.Rollback(rollback); rerr != nil && !errors.Is(rerr, pgx.ErrTxClosed) {
			err = errors.Join(err, fmt.Errorf("roll back: %w", rerr))
		}
	}()
	tx := &Tx{Conn: Conn{queries: s.queries, dbtx: ptx}}
	if err := work(ctx, tx); err != nil {
		return err
	}
	if err := ptx.Commit(ctx); err != nil {
		return fmt.Errorf("commit: %w", marked(err))
	}
	ptx = nil
	if tx.owesMessages {
		s.wakeRelay()
	}
	return nil
}

// inTxTogether is inTx for statements that are sent at once, see together.
func (s *Store) inTxTogether(ctx context.Context, work func(ctx context.Context, tx *Tx) error) (err error) {
	conn, err := s.pool.Load().Acquire(ctx)
	if err != nil {
		return fmt.Errorf("begin transaction: %w", marked(err))
	}
	defer conn.Release() // which closes a connection that is not where it began
	kept := newTogether(conn)
	committed := false
	defer func() {
		if committed {
			return
		}
		// As in inTx.
		rollback, cancel := context.WithTimeout(context.WithoutCancel(ctx), rollbackTimeout)
		defer cancel()
		err = errors.Join(err, kept.rollback(rollback))
	}()
	tx := &Tx{Conn: Conn{queries: s.queries, dbtx: kept}, together: kept}
	if err := work(ctx, tx); err != nil {
		return err
	}
	if err := kept.commit(ctx); err != nil {
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
	default: // it has been told already
	}
}

// Now is the database's clock.
func (c Conn) Now(ctx context.Context) (time.Time, error) {
	now, err := c.queries.Now(ctx, c.dbtx)
	if err != nil {
		return time.Time{}, fmt.Errorf("read the clock: %w", marked(err))
	}
	return now, nil
}

// wrap names the operation and turns pgx's "no rows" into ErrNotFound, here and nowhere else.
func wrap(operation string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, pgx.ErrNoRows):
		return fmt.Errorf("%s: %w", operation, ErrNotFound)
	case isLaneLost(err):
		return fmt.Errorf("%s: %w", operation, ErrLaneLost)
	default:
		return fmt.Errorf("%s: %w", operation, marked(err))
	}
}

// isLaneLost knows the error that lane_lost() raises.
func isLaneLost(err error) bool {
	raised, ok := errors.AsType[*pgconn.PgError](err)
	return ok && raised.Code == "RC001"
}

func isNotFound(err error) bool { return errors.Is(err, ErrNotFound) }

func noRows(err error) bool { return errors.Is(err, pgx.ErrNoRows) }
