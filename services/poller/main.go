// Command poller keeps mirrors true: it polls each customer for who changed since the checkpoint, by the customer's
// cadence, and brings them to the destination. Any number of replicas may run; there is no leader.
package main

import (
	"os"

	"rollcall.dev/pkg/service"
)

func main() {
	os.Exit(service.Main("poller", run))
}
