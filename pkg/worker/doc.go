// Package worker is the pull loop of every service that takes work from a stream: fetch, check, heartbeat,
// settle, drain.
//
// It owns what happens to a message between the server and the handler. It promises that a message is fetched
// only when a slot is free for it, that the server hears from the work at a third of the ack wait and the work
// hears when the server does not, that every message is settled by the handler's outcome and never by a bare
// nak (save one that another worker may have by now, which is left alone unless its work is done), and that
// SIGTERM fetches nothing more and lets the work in hand finish. Delivery is at least once: handlers are
// idempotent by what they keep in Postgres. It does not know what a message means.
package worker
