// Command reconciler finds what polls have missed: each night it reads the users that changed since the beginning of
// the previous day, compares them with the mapping, and writes missing versions to the destination. Each week it
// reads all users, and deletes at the destination those that VOMO deleted. For customers with giving it reconciles donations, gifts and
// contacts with Virtuous CRM+, finds gifts that were deleted there, and stores a report each day. Any number of replicas may run; there is no leader.
package main

import (
	"os"

	"rollcall.dev/pkg/service"
)

func main() {
	os.Exit(service.Main("reconciler", run))
}
