// Package store is rollcall's memory: the pool, the transactions, the leases, the outbox and its relay, and
// every statement that the services run.
//
// It owns the database. It alone sees the generated queries and pgx's errors: callers get this package's
// types, ErrNotFound and the sentinels beside each noun. It promises that what a transaction decided and what
// it owes the bus are committed together, that a page of a customer whose lane was lost is never committed,
// and that time is the database's, the same for all processes. It does not know NATS (the relay is given a
// publisher), nor what the rows mean to a service.
package store
