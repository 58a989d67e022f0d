// Command dlqretry retries dead letters until they are settled or an operator's, shows the open ones in ROLLCALL_DLQ,
// and takes what operators do there for an answer. Any number of replicas may run; there is no leader.
package main

import (
	"os"

	"rollcall.dev/pkg/service"
)

func main() {
	os.Exit(service.Main("dlqretry", run))
}
