// Package localserver runs a NATS server and a Postgres on this machine, for `rollcall dev` and the tests.
//
// StartNATS embeds a NATS server with JetStream. StartPostgres starts a Postgres child process from the binaries
// found on the machine. Both keep their data in a folder that the caller chooses, listen on a loopback address only,
// keep their data between starts, and have ended when Shutdown or Stop returns. SetClock moves the clock of a database.
//
// The package does not create streams, consumers or tables and downloads nothing. It is not for production: there is
// one server, no replica and no backup.
package localserver
