// Package deadletter opens letters: each holds a record or a message that cannot be processed now, with the reason,
// so that an operator sees it.
//
// The package defines what a letter holds, when it is retried, and how ROLLCALL_DLQ publishes it. The table
// dead_letters is the truth and the stream follows it. Only the service dlqretry publishes there: two publishers
// would publish a letter twice. A letter is stored before its message or page is settled. A record has at most one
// open letter. A message has one letter however often it is delivered. A letter carries ids and a reason, never a
// person's data. Package messageletter opens the letters of messages.
package deadletter
