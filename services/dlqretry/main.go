// Command dlqretry retries dead letters until they are settled or wait for an operator, keeps ROLLCALL_DLQ equal to the open
// letters, and does what operators ask for there. Any number of replicas may run; there is no leader.
package main

import (
	"os"

	"rollcall.dev/pkg/service"
)

func main() {
	os.Exit(service.Main("dlqretry", run))
}
