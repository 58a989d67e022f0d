//go:build compose

package compose_test

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// At the rate that deploy/test-compose sets, 60 pages a second, the larger ones take some seconds: long enough to be
// met at work, again and again.
const (
	acmeUsers  = 1000 // of the sandbox's own organisation
	birchUsers = 4500
	cedarUsers = 3000
)

// One test, since bringing everything up is what takes long; each step stands on the one before.
func TestComposeRunsTheProductThroughCrashesAndRestarts(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	s.step("up, from a clone without .env and without built programs")
	s.up()
	require.NoFileExists(t, s.clone+"/.env")
	s.step("NATS refuses clients without the password")
	p := reach(t, s)
	p.refusesStrangers()
	s.step("every container is hardened")
	s.hardened()

	s.step("onboard acme: one message makes a complete mirror")
	p.onboard("acme", "sandbox-acme-token")
	s.completed(p, "acme", acmeUsers)

	s.step("a change at VOMO arrives with the next poll")
	p.follows("acme", acmeUsers)

	s.step("a donation goes into Virtuous, and the webhook of its gift comes back")
	p.giving("acme")
	s.until(longest, "giving is set up", func() bool { return s.hasGiving("acme") })
	p.donate("acme", "don-1")
	s.until(longest, "the donation is accepted", func() bool { return s.donation("don-1") == "submitted" })
	p.importGifts("acme")
	s.until(longest, "the donation is confirmed", func() bool { return s.donation("don-1") == "confirmed" })

	s.step("scale to three workers, and onboard birch")
	s.scale(3)
	require.Len(t, s.containers("backfill"), 3)
	p.organisation("birch", birchUsers)
	p.onboard("birch", "birch-token")
	s.underway(p, "birch", 300)
	s.step("crash the worker that has birch")
	s.crashAtWork(p, "birch", func() string { return s.workerOf("birch") })
	s.step("crash NATS")
	s.crashAtWork(p, "birch", func() string { return s.containers("nats")[0] })
	s.step("crash Postgres")
	s.crashAtWork(p, "birch", func() string { return s.containers("postgres")[0] })
	s.completed(p, "birch", birchUsers)

	s.step("stop everything while cedar is at work")
	p.organisation("cedar", cedarUsers)
	p.onboard("cedar", "cedar-token")
	s.underway(p, "cedar", 300)
	p.slow("cedar")
	s.do("stop")
	s.endedWell()
	s.step("remove the containers; the volumes stay")
	s.do("down")
	require.Empty(t, s.containers(""))

	s.step("up again: the keys open what was sealed, and the work goes on")
	s.scale(2)
	p.brisk()
	s.completed(p, "cedar", cedarUsers)
	for customer, had := range map[string]struct{ users, requests int }{"acme": {acmeUsers, 2}, "birch": {birchUsers, 1}} { // acme's second one is for giving
		p.mirrored(customer, had.users)
		require.Equal(t, "completed", p.backfill(customer).State)
		require.EqualValues(t, had.requests, p.events("rollcall.events.onboarding.completed."+customer), "kept in the encrypted stream")
	}
	s.step("and polls go on, too")
	p.follows("birch", birchUsers)
	s.step("done")
}
