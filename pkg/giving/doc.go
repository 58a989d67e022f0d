// Package giving knows what a donation is: which messages are valid, what a donation is called when it is compared with another, and
// which transaction Virtuous gets for it.
//
// It promises that every error names one field and none of its values, that two messages that mean the same donation have the same
// canonical form, and that the same donation and settings give the same bytes of a transaction. Amounts are decimals and never
// floating-point numbers. The package sends and stores nothing.
package giving
