// Package rollcallv1 is the messages that travel on rollcall's subjects, how they are read and how they are written.
//
// It owns the form: protobuf JSON in lowerCamelCase, which fields there are and what each may hold. It promises
// that a message is refused field by field, in texts that name the remedy and never quote a value, since a value
// may be a secret or a person's. It does not know what a message sets in motion, nor the subject that it came on.
package rollcallv1
