// Package retention bounds what grows in Postgres.
//
// It owns the list of what is kept for how long, and by which setting: the pruner deletes by it, and `rollcall doctor`
// shows it. It promises that rows are deleted in batches of at most 1,000, each in a transaction of its own, so that no page
// waits for it, and that an open letter, an active alert, an unfinished run or a message that NATS has not is never deleted
// because of its age, except for events if OUTBOX_AGE says so.
package retention
