// Command poller keeps mirrors up to date: at each customer's cadence, it reads the users that changed since the
// checkpoint and writes them to the destination. Any number of replicas may run; there is no leader.
package main

import (
	"os"

	"rollcall.dev/pkg/service"
)

func main() {
	os.Exit(service.Main("poller", run))
}
