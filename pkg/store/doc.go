// Package store is rollcall's database: the pool, the transactions, the leases, the outbox with its relay, and every
// statement that the services run.
//
// It alone sees the generated queries and pgx's errors. Callers get this package's types and errors: ErrNotFound,
// ErrUnavailable, ErrLaneLost and those beside each noun. The package promises that a transaction and the messages that it
// owes the bus are committed together, that a page of a customer whose lane was lost is never committed, and that the
// database's clock counts, the same for all processes. It does not know NATS (the relay is given a publisher), nor what the
// rows mean to a service.
//
// Statements are in two folders. Those of sql/direct need no guard, and sqlc makes them methods of Conn. Those of sql/queries
// need a guard, such as a lease or another statement of the same transaction, and are run by methods that are written here.
package store
