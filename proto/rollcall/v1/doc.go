// Package rollcallv1 defines the messages that are published on rollcall's subjects, and how they are read and
// written.
//
// The form is protobuf JSON in lowerCamelCase. Validation rejects a message field by field; the texts say how to fix
// a field and never quote a value, since a value may be a secret or personal data. The package does not know what a
// message causes, nor the subject that it was published on.
package rollcallv1
