// Package deletion finds users that VOMO deleted, and deletes them at the destination.
//
// A run of its kind reads all of a customer's users as a backfill does, and compares them with those at the destination. A user
// is deleted on two proofs: the complete scan did not see it, and VOMO answers 404 for its id. The package promises that deletions
// begin only after every missing user was asked for, that a run of an unusual size waits for an operator, and that an answer
// which is not a 404 deletes no user. Every step is committed page by page in the customer's lane, together with the run's cursor. The
// package does not read lists and does not write records: job.Scan and package mirror do.
package deletion
