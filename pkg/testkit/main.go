package testkit

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"testing"

	"go.uber.org/goleak"
)

// kit is what one test process shares between its tests. It is package state because Go gives a TestMain no
// other way to hand something to the tests; everything in it is made when first asked for.
var kit struct {
	mu      sync.Mutex
	inMain  bool
	endings []func()
}

var errNoMain = errors.New("this package's tests need `func TestMain(m *testing.M) { testkit.Main(m) }`: it stops what they share")

// Main runs a package's tests, ends what they shared (the private Postgres, the built programs), and fails the
// package when goroutines are left over. allowed are leaks to overlook, each with its reason beside it.
func Main(m *testing.M, allowed ...goleak.Option) { os.Exit(run(m, allowed)) }

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
		return code // a failed test leaves goroutines behind: they would hide its message
	}
	if err := goleak.Find(allowed...); err != nil {
		fmt.Fprintf(os.Stderr, "testkit: %v\n", err)
		return 1
	}
	return 0
}

// requireMain is an error when nobody would end what the caller is about to start.
func requireMain() error {
	kit.mu.Lock()
	defer kit.mu.Unlock()
	if !kit.inMain {
		return errNoMain
	}
	return nil
}

// atEnd has Main call f after the last test; the last one registered is called first.
func atEnd(f func()) {
	kit.mu.Lock()
	defer kit.mu.Unlock()
	kit.endings = append(kit.endings, f)
}
