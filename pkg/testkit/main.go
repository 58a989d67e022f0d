package testkit

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"sync"
	"testing"

	"go.uber.org/goleak"
)

// kit is what the tests of one test process share. It is package state because a TestMain has no other way to pass
// something to the tests. Each part is created when a test first needs it.
var kit struct {
	mu      sync.Mutex
	inMain  bool
	endings []func()
}

var errNoMain = errors.New("this package's tests need `func TestMain(m *testing.M) { testkit.Main(m) }`: it stops what they share")

// Main runs a package's tests, ends what they shared (the private Postgres, the built programs), and fails the
// package if goroutines are left over. allowed are leaks to ignore; give the reason for each beside it.
func Main(m *testing.M, allowed ...goleak.Option) { os.Exit(run(m, allowed)) }

// waitingTests is how many tests that wait more than they compute run at once, whatever the number of cores.
const waitingTests = "6"

// MainOfWaiting is Main for a package whose tests wait more than they compute: for programs to start, claims to expire, limits, outages.
func MainOfWaiting(m *testing.M, allowed ...goleak.Option) {
	if err := flag.Set("test.parallel", waitingTests); err != nil { // -parallel comes later, and counts
		fmt.Fprintln(os.Stderr, "set -parallel:", err)
		os.Exit(1) // no test runs yet that could fail
	}
	Main(m, allowed...)
}

func run(m *testing.M, allowed []goleak.Option) int {
	kit.mu.Lock()
	kit.inMain = true
	kit.mu.Unlock()

	code := m.Run()

	kit.mu.Lock()
	endings := kit.endings
	kit.mu.Unlock()
	for _, ending := range slices.Backward(endings) {
		ending()
	}
	if code != 0 {
		return code // a failed test may leave goroutines behind, whose report would hide its message
	}
	if err := goleak.Find(allowed...); err != nil {
		fmt.Fprintf(os.Stderr, "testkit: %v\n", err)
		return 1
	}
	return 0
}

// requireMain returns an error if Main is not running, since then nothing would end what the caller is about to
// start.
func requireMain() error {
	kit.mu.Lock()
	defer kit.mu.Unlock()
	if !kit.inMain {
		return errNoMain
	}
	return nil
}

// atEnd makes Main call f after the last test. The function registered last is called first.
func atEnd(f func()) {
	kit.mu.Lock()
	defer kit.mu.Unlock()
	kit.endings = append(kit.endings, f)
}
