// Package cli is the operator's command line: the commands of `rollcall`, what they print, and their exit status.
//
// It owns the flags, the words and the three exit codes. It promises that with --json standard output holds one
// JSON document or nothing, that no secret is printed or sent in the clear unless asked for, and that a service
// that does not answer is named. What customers, runs and requests are is decided by the services that it asks.
package cli
