// Package localserver runs a NATS server and a Postgres of our own on this machine.
//
// It owns two things that live in a folder of the caller's choice: an embedded NATS server with JetStream
// (StartNATS) and a Postgres child process made from the binaries found on the machine (StartPostgres). Both
// listen on a loopback address only, keep their data between starts, and end before Shutdown or Stop return.
// It serves `rollcall dev` and the tests.
//
// It does not create streams, consumers or tables, it does not download anything, and it is not a way to run
// a production broker or database: there is one server, no replica and no backup.
package localserver
