package testkit_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// recorder stands in for a test that is expected to fail.
type recorder struct {
	testing.TB
	failed   bool
	lines    []string
	cleanups []func()
}

// stopped is the panic value of FailNow, since there is no test to end.
type stopped struct{}

// expectFailure runs a test that must fail, and returns its output.
func expectFailure(t *testing.T, test func(t *recorder)) string {
	t.Helper()
	r := &recorder{TB: t}
	r.guarded(func() { test(r) })
	for _, v := range slices.Backward(r.cleanups) {
		r.guarded(v)
	}
	if !r.failed {
		t.Error("this must fail, and did not")
	}
	return strings.Join(r.lines, "\n")
}

func (r *recorder) guarded(f func()) {
	defer func() {
		if cause := recover(); cause != nil && cause != (stopped{}) {
			panic(cause)
		}
	}()
	f()
}

func (r *recorder) Helper()          {}
func (r *recorder) Failed() bool     { return r.failed }
func (r *recorder) Cleanup(f func()) { r.cleanups = append(r.cleanups, f) }
func (r *recorder) FailNow()         { r.failed = true; panic(stopped{}) }
func (r *recorder) Errorf(format string, args ...any) {
	r.failed = true
	r.Logf(format, args...)
}
func (r *recorder) Logf(format string, args ...any) {
	r.lines = append(r.lines, fmt.Sprintf(format, args...))
}
