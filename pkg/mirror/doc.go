// Package mirror applies pages of VOMO users to a destination. Backfill, poll, reconciliation and dead-letter
// retry all come through here: there is no second place where a user is written.
//
// It owns what a version is, what is skipped, what counts as a destination's fault and what as a record's, and
// the one transaction that remembers a page. It promises that a page is committed whole or not at all, only
// while the lane is held, and only after every record of it is at the destination, skipped as known, or has a
// letter; that an older version never replaces a newer one; and that writing a page again changes nothing
// (at least once, idempotent by the record's version). It does not read VOMO and does not park jobs.
package mirror
