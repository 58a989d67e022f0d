// Package giving knows what a donation is, and what a contact of the platform is: which messages are valid, what they are called when they are compared
// with others, and which transactions Virtuous gets for them.
//
// It promises that every error names one field and none of its values, that two messages that mean the same donation or version of a contact have the
// same canonical form, and that the same donation or contact and settings give the same bytes of a transaction. Amounts are decimals and never
// floating-point numbers. The package sends and stores nothing.
package giving
