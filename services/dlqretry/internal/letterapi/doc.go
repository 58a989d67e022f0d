// Package letterapi answers what operators ask about dead letters over NATS: rollcall.api.letters.* and rollcall.api.drains.*.
//
// It lists, shows, retries and discards letters in the table, in batches that a client repeats, or that a drain works in the background.
// It does not publish letters to ROLLCALL_DLQ and does not retry records itself: it makes them due and wakes the parts that do.
package letterapi
