// Package service is the life of a service: settings, logger, metrics, health, NATS, Postgres, the outbox
// relay, and an end in the right order.
//
// It owns everything that a program does before and after its own work. It promises that a service starts only
// when its settings, its schema and its streams are as it needs them, each with a clear line otherwise; that
// SIGTERM lets the work finish first, publishes what is owed, and then closes what the work stood on; and that
// health says what is true now. It does not know what the service does.
package service
