// Package retry retries dead letters.
//
// A record's letter is retried in its customer's lane: a round of package round reads the users of up to 15 due letters from VOMO
// in their newest state and writes them through package mirror, which settles the letters. A message's letter is retried when
// an operator asks for it: its message is published again.
//
// An outage costs no attempt. The package does not know the stream ROLLCALL_DLQ.
package retry
