// Command reconciler finds what polls have missed: each night it reads who changed since the beginning of the day
// before, compares that with what is known, and brings whoever is missing to the destination. Any number of replicas
// may run; there is no leader.
package main

import (
	"os"

	"rollcall.dev/pkg/service"
)

func main() {
	os.Exit(service.Main("reconciler", run))
}
