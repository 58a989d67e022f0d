// Package service runs a service: settings, logger, metrics, health, NATS, Postgres, the outbox relay, and an orderly
// end.
//
// It does everything that a program needs before and after its own work. A service starts only if its settings,
// schema and streams are correct; otherwise it stops with one clear line. On SIGTERM the work finishes first, then
// the outbox is published, then the connections are closed. Health reports the current state. The package does not
// know what the service does.
package service
