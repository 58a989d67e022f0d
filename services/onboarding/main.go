// Command onboarding takes up new customers: it validates and seals what an operator publishes, erases the
// message, tests the token, and queues the first backfill. It also answers what operators ask about customers,
// their backfills and their requests.
package main

import (
	"os"

	"rollcall.dev/pkg/service"
)

func main() {
	os.Exit(service.Main("onboarding", run))
}
