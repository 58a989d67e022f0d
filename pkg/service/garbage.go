package service

import (
	"os"
	"runtime/debug"
)

// garbagePercent is GOGC for services: their live heap is a few MiB, and Go's default of 100 has them collect garbage
// some dozen times a second under load. Measured on a backfill without limits: a fifth of the worker's CPU time less,
// and 43 MiB at most instead of 32.
const garbagePercent = 400

// collectSeldom applies garbagePercent, unless the operator has decided with GOGC.
func collectSeldom() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(garbagePercent)
	}
}
