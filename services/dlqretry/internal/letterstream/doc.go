// Package letterstream keeps the stream ROLLCALL_DLQ equal to the open letters of the table, and does what operators ask
// for in it.
//
// The stream has one message per open letter, on a subject of the letter's own. Publishing a letter replaces its message,
// and settling a letter purges its subject. An audit compares the subjects with the ids of the open letters. The table is
// the truth: a lost stream is made from it again. Only this package publishes letters. It never retries a letter itself:
// package retry does.
package letterstream
