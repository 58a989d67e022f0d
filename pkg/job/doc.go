// Package job runs the unfinished runs of a kind: backfills, polls, reconciliations.
//
// A Runner claims a run in its customer's lane, has the kind's work done, and settles the run by the outcome: finished, parked,
// put off, handed back or given up. It promises that a run which stops for any reason continues after its last committed page, that
// one which waits holds no slot of a worker or of the broker, and that a run gives the lane to another job within a page. Scan is
// the work of every kind that reads users at VOMO: the cursor moves in each page's transaction, the checkpoint only in the last
// page's. The package does not say which users are read or what a page means besides the mirror: a Kind does.
package job
