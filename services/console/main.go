// Command console shows what rollcall does: the operators' pages, a page for each customer, and the HTTP API under /api/v1.
// It decides nothing itself: it asks the services over NATS, as the operator's command does, so each act is validated and audited once.
package main

import (
	"os"

	"rollcall.dev/pkg/service"
)

func main() {
	os.Exit(service.Main("console", run))
}
