//go:build compose

package compose_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/operatorapi"
)

// completed waits for the customer's backfill, and compares the mirror with the source and with our own books.
func (s *stack) completed(p *product, customer string, users int) {
	s.t.Helper()
	var run *operatorapi.Backfill
	s.until(longest, customer+"'s backfill is complete", func() bool {
		run = p.backfill(customer)
		return run != nil && run.State == "completed"
	})
	p.mirrored(customer, users)
	require.EqualValues(s.t, users, run.Processed)
	require.Equal(s.t, strconv.Itoa(users), s.query("SELECT count(*) FROM user_mappings WHERE customer_id = '"+customer+"'"))
	require.Equal(s.t, fmt.Sprintf("%d|%d", users, users), s.query("SELECT count(*), count(DISTINCT record_id) FROM sync_audit"+
		" WHERE succeeded AND customer_id = '"+customer+"'"), "every user is mirrored, and no version is audited twice")
}

// underway waits until the customer's backfill has come so far, and makes sure that it is still at work: a crash
// after the end would show nothing.
func (s *stack) underway(p *product, customer string, processed int64) {
	s.t.Helper()
	var run *operatorapi.Backfill
	s.until(longest, fmt.Sprintf("%s's backfill has processed %d", customer, processed), func() bool {
		run = p.backfill(customer)
		return run != nil && run.State == "running" && run.Processed >= processed
	})
	require.NotNil(s.t, run.Total)
	require.Less(s.t, run.Processed, *run.Total)
}

// crashAtWork crashes a container while the customer's backfill is at work, and sees it go on. The source is slow
// meanwhile, so that the backfill does not end before the container is found and killed.
func (s *stack) crashAtWork(p *product, customer string, container func() string) {
	s.t.Helper()
	p.slow(customer)
	s.crash(container())
	var left *operatorapi.Backfill
	s.until(longest, "the services answer", func() bool {
		left = p.backfill(customer)
		return left != nil
	})
	s.step(fmt.Sprintf("%s stands at %d, and goes on", customer, left.Processed))
	p.brisk()
	s.underway(p, customer, left.Processed+300)
}

// workerOf is the container that has the customer's lane: the holder's name has the container's in it.
func (s *stack) workerOf(customer string) string {
	s.t.Helper()
	holder := s.query("SELECT holder FROM customer_leases WHERE customer_id = '" + customer + "' AND expires_at > now()")
	workers := s.containers("backfill")
	at := slices.IndexFunc(workers, func(container string) bool { return strings.Contains(holder, container) })
	require.GreaterOrEqual(s.t, at, 0, "holder %q is one of %v", holder, workers)
	return workers[at]
}

// hardened makes sure that no container may do more than it has to, and that none has ended badly.
func (s *stack) hardened() {
	s.t.Helper()
	for _, container := range s.containers("") {
		name := s.inspect(container, "{{.Name}}")
		require.Equal(s.t, "true [ALL] [no-new-privileges:true] false", s.inspect(container,
			"{{.HostConfig.ReadonlyRootfs}} {{.HostConfig.CapDrop}} {{.HostConfig.SecurityOpt}} {{.HostConfig.Privileged}}"), name)
		require.NotContains(s.t, s.inspect(container, "{{.Config.Env}}"), "ALLOW_PRIVATE_DESTINATIONS=true", name)
	}
}

// endedWell: no container was killed for being slow (137), and none died of a signal that asks to end (143).
func (s *stack) endedWell() {
	s.t.Helper()
	for _, container := range s.containers("") {
		require.Equal(s.t, "exited 0", s.inspect(container, "{{.State.Status}} {{.State.ExitCode}}"),
			s.inspect(container, "{{.Name}}"))
	}
}
