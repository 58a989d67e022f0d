package worker_test

import (
	"os"
	"testing"

	"rollcall.dev/pkg/testkit"
)

func TestMain(m *testing.M) {
	if url := os.Getenv(childEnv); url != "" {
		os.Exit(runChild(url, os.Stdout))
	}
	testkit.Main(m)
}
