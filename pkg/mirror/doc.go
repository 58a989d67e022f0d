// Package mirror applies pages of VOMO users to a destination. Backfills, polls, reconciliations and dead-letter
// retries all use it: no other code writes a user to a destination.
//
// The package defines what a version of a record is, which records are skipped, which failures are the destination's
// fault and which are the record's, and it commits a page in one transaction. It promises:
//   - A page is committed as a whole or not at all, and only while the worker holds the customer's lane.
//   - A page is committed only after each of its records was written, was skipped as unchanged, or gets a letter.
//   - An older version never replaces a newer one, unless a rewrite allows it.
//   - Applying a page again changes nothing: delivery is at least once, and a record's version makes it idempotent.
//
// The package does not read VOMO and does not park runs.
package mirror
