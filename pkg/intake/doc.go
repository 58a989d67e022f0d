// Package intake handles messages that carry a secret or a person's data in the clear.
//
// It promises that the outcome of a message is committed first, and that the message is then erased from its stream's
// files, also if it is rejected. Only a message under which the process died or panicked ten times after its first delivery is given up. The caller
// commits the outcome, which must be idempotent: a message is delivered at least once. The package does not know what a
// message means. Customers is for streams whose messages are about onboarded customers: it gives up those that cannot be handled, and
// discards those of other customers.
package intake
