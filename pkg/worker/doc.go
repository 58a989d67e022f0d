// Package worker runs the pull loop of every service that handles messages of a stream: it fetches, checks, sends heartbeats,
// settles and drains.
//
// It owns everything that happens to a message between the server and the handler. It fetches a message only if a slot is
// free. At every third of the ack wait it tells the server that the work goes on, and it cancels the work if the server does
// not confirm that. It settles every message by the handler's outcome, and never with a bare nak. Only a message that another
// worker may have by now is left unsettled, unless its work is done. After SIGTERM it fetches nothing more and lets the
// running work finish. Delivery is at least once, so handlers are idempotent by what they keep in Postgres. The package does
// not know what a message means.
package worker
