// Package deadletter opens letters: what cannot be mirrored or handled now, with the reason, in front of an
// operator instead of in nobody's sight.
//
// It owns what a letter holds, when it is tried again, and how ROLLCALL_DLQ shows it. The table dead_letters is the
// truth; the stream follows it, and one service alone (dlqretry) publishes there: two would show a letter twice. It
// promises that a letter is durable before its message or page is settled,
// that at most one letter is open for a record, that a message has one letter however often it is delivered,
// and that a letter carries ids and a reason, never a person's data (a message's own bytes are sealed).
package deadletter
