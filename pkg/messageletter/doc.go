// Package messageletter opens the dead letters of messages that a service could not handle, and prepares such a message
// to be published again.
//
// It promises that a letter is durable before its message is settled, that a message has one letter however often it is
// delivered, and that the message's own bytes and headers are sealed. It is apart from package deadletter because it
// needs the worker's deliveries and the vault; what writes a page needs neither.
package messageletter
