// Command backfill reads all users of a customer once and writes them to the destination: claimed by one
// worker at a time, resumed after the last committed page, parked while another system is at fault.
package main

import (
	"os"

	"rollcall.dev/pkg/service"
)

func main() {
	os.Exit(service.Main("backfill", run))
}
