package worker_test

import (
	"os"
	"testing"

	"rollcall.dev/pkg/testkit"
)

func TestMain(m *testing.M) {
	if url := os.Getenv(childVariable); url != "" {
		os.Exit(workAsChild(url, os.Stdout))
	}
	testkit.Main(m)
}
