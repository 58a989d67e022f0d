// Package job is the life of a scheduled run: a poll, or a daily reconciliation.
//
// It owns how a run is claimed, how its pages are read and committed in the customer's lane, and what becomes of it
// when something is at fault. It promises that the cursor moves in each page's transaction and the checkpoint only in
// the last page's; that a run which stops for whatever reason goes on after its last committed page; that one which
// waits holds no slot of a worker or of the broker; and that it gives the lane to whoever else wants it within a page.
// What a run reads, and what its pages mean besides the mirror, is its Kind's to say; who is written, the mirror's.
package job
