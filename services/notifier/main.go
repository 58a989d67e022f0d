// Command notifier tells people: alerts to operators by mail and webhook, and what concerns them to the customers'
// own admins. It also finds what only time brings, such as a poller that stands still. Any number of replicas may run.
package main

import (
	"os"

	"rollcall.dev/pkg/service"
)

func main() {
	os.Exit(service.Main("notifier", run))
}
