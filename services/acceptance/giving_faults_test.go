package acceptance_test

import (
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/testkit"
)

// The full size, run by hand: go test ./services/acceptance -run DonationsUnderFaults -giving-seeds 20 -giving-donations 2000 -giving-portions 8
// -timeout 120m.
var (
	givingSeeds     = flag.Int("giving-seeds", 3, "how many courses of faults and kills donations go through")
	givingFrom      = flag.Int("giving-from", 0, "the first of them")
	givingDonations = flag.Int("giving-donations", 100, "donations of each course")
	givingPortions  = flag.Int("giving-portions", 4, "in how many portions they are published, with a kill after each")
)

const (
	givingSource = "AcmeGive"
	giftsByHand  = 50
	day          = 24 * time.Hour

	// What no stream, log, table or metric may have of a donor.
	donorName = "Quillfeather"
	donorHost = "@quillfeather.example"
)

// givingCourse is one customer whose donations go to a Virtuous that fails, while the services are killed.
type givingCourse struct {
	f       *fixture
	seed    int
	chance  *rand.Rand
	amounts map[string]string // of the donations, by id
	kills   int

	address    string // of the receiver of webhooks
	worker     *testkit.Process
	receiver   *testkit.Process
	reconciler *testkit.Process
}

func (c *givingCourse) customer() string { return fmt.Sprintf("seed-%d", c.seed) }
func (c *givingCourse) key() string      { return fmt.Sprintf("v_key-of-%s-61c0ffee22", c.customer()) }
func (c *givingCourse) secret() string {
	return fmt.Sprintf("wh-secret-of-%s-99aa21bc0d", c.customer())
}
func (c *givingCourse) control() string { return "/control/virtuous/orgs/" + c.customer() }

// begin onboards the customer; it is the nth one.
func (c *givingCourse) begin(nth int) {
	f := c.f
	f.t.Helper()
	f.control(http.MethodPost, "/control/virtuous/orgs", map[string]any{
		"name": c.customer(), "key": c.key(), "seed": c.seed, "settings": map[string]any{
			"zone": []string{"US/Arizona", "Pacific/Auckland", "Europe/Lisbon"}[c.seed%3], "needsUpdatePercent": 3,
			"webhooks": map[string]any{
				"loss": 0.1, "duplicates": 0.05, "reordered": 0.2, "odd": 0.05, "envelope": "mixed", "encoding": "mixed", "retryMs": 100,
			},
		},
	}, nil)
	f.control(http.MethodPut, c.control()+"/quota", map[string]any{"limit": 1_000_000}, nil)
	f.publish(bus.SubjectOnboard(c.customer()), map[string]any{
		"customerId": c.customer(), "adminEmail": "it@acme.example",
		"virtuous": map[string]any{"token": c.key(), "transactionSource": givingSource, "webhookSecret": c.secret()},
	})
	f.applied(nth)
	f.subscribe(c.key(), c.secret(), "http://"+c.address+"/webhooks/virtuous/"+c.customer())
	for _, fault := range []map[string]any{
		{"operation": "transaction", "kind": "lost_answer", "probability": 0.02},
		{"operation": "transaction", "kind": "drop", "probability": 0.01},
		{"operation": "transaction", "kind": "status", "status": 500, "probability": 0.01},
		{"operation": "transaction", "kind": "status", "status": 503, "probability": 0.01},
		{"operation": "transaction", "kind": "status", "status": 520, "probability": 0.01},
		{"operation": "transaction", "kind": "status", "status": 429, "retryAfter": "1", "probability": 0.01},
		{"operation": "transaction", "kind": "page", "probability": 0.005},
		{"operation": "gift_lookup", "kind": "status", "status": 520, "probability": 0.03},
		{"operation": "gift_lookup", "kind": "status", "status": 429, "retryAfter": "1", "probability": 0.01},
		{"operation": "gift_query", "kind": "status", "status": 503, "probability": 0.03},
		{"operation": "contact_query", "kind": "status", "status": 520, "probability": 0.03},
		{"operation": "gift", "kind": "status", "status": 500, "probability": 0.1},
		{"operation": "contact", "kind": "status", "status": 500, "probability": 0.1},
	} {
		fault["target"], fault["org"] = "virtuous", c.customer()
		f.control(http.MethodPost, "/control/faults", fault, nil)
	}
}

// donate publishes donations as a partner does: donors give several times, and one message in twenty is published twice.
func (c *givingCourse) donate(from, to int) {
	c.f.t.Helper()
	for i := from; i < to; i++ {
		id, donor := fmt.Sprintf("don-%d", i), c.chance.IntN(*givingDonations)
		amount := fmt.Sprintf("%d.%02d", 5+c.chance.IntN(500), c.chance.IntN(100))
		contact := map[string]any{"referenceId": fmt.Sprintf("donor-%d", donor), "email": fmt.Sprintf("giver%d%s", donor, donorHost)}
		if donor%5 == 0 {
			contact["type"], contact["name"] = "Organization", fmt.Sprintf("%s & Sons %d", donorName, donor)
		} else {
			contact["type"], contact["firstName"], contact["lastName"] = "Household", fmt.Sprintf("Ana %d", donor), donorName
		}
		message := map[string]any{
			"customerId": c.customer(), "platformDonationId": id, "amount": amount, "currencyCode": "USD", "giftDate": "2026-02-20", "giftType": "Credit",
			"contact": contact, "designations": []map[string]any{{"code": "CLEAN-WATER", "amountDesignated": amount}},
		}
		c.amounts[id] = amount
		for range 1 + min(1, c.chance.IntN(20)/19) {
			c.f.publish(bus.SubjectDonation(c.customer()), message)
		}
	}
}

// kill kills the donations service at a random moment of the next third of a second, and each third time the receiver, too. Their claims
// expire before they are started again.
func (c *givingCourse) kill() {
	c.f.t.Helper()
	moment := time.NewTimer(time.Duration(c.chance.IntN(333)) * time.Millisecond)
	<-moment.C
	c.kills++
	c.worker.Kill()
	if c.kills%3 == 0 {
		c.receiver.Kill()
		c.receiver = c.f.start(programWebhooks, map[string]string{"WEBHOOK_ADDR": c.address})
	}
	c.f.advance(6 * time.Second)
	c.worker = c.f.start(programDonations, c.f.toVirtuous())
}

// live has donations published on two days. Their transactions become gifts at midnight, when the import runs. The donations service is
// killed after each portion and twice more: while it sends, while it also applies webhooks, and while it only applies webhooks.
func (c *givingCourse) live() {
	c.f.t.Helper()
	portions := *givingPortions
	for i := range portions {
		c.donate(*givingDonations*i/portions, *givingDonations*(i+1)/portions)
		c.kill()
		if i == portions/2-1 {
			c.f.advance(day)
		}
	}
	c.awaitAccepted()
	c.f.advance(day)
	c.kill()
	c.kill()
}

// awaitAccepted waits until Virtuous has accepted every donation.
func (c *givingCourse) awaitAccepted() {
	c.f.t.Helper()
	c.f.await(longest, c.customer()+": every donation is accepted", func() bool {
		accepted := c.f.count(`SELECT count(*) FROM virtuous_donation_queue WHERE customer_id = $1 AND status <> 'pending'`, c.customer())
		if accepted < len(c.amounts) {
			c.advanceToWork()
		}
		return accepted == len(c.amounts)
	})
}

// advanceToWork advances the clocks to the time at which a donation or a reconciliation of the customer is due, if none is due now.
func (c *givingCourse) advanceToWork() {
	c.f.t.Helper()
	milliseconds := c.f.count(`
		WITH due AS (
			SELECT next_attempt_at AS at FROM virtuous_donation_queue WHERE customer_id = $1 AND status = 'pending'
			UNION ALL SELECT asked_at FROM giving_reconciliations WHERE customer_id = $1)
		SELECT coalesce(ceil(1000 * extract(epoch FROM greatest(min(due.at), (SELECT until FROM giving_holds WHERE customer_id = $1),
			(SELECT next_at FROM virtuous_budgets WHERE customer_id = $1)) - rollcall_now())), 0)::int FROM due`, c.customer())
	if milliseconds > 0 {
		c.f.advance(time.Duration(milliseconds) * time.Millisecond)
	}
}

// act has staff find a contact for half of the transactions that the imports set aside, and discard a third of them. They also enter gifts.
func (c *givingCourse) act() {
	c.f.t.Helper()
	var aside []string
	for _, transaction := range c.transactions() {
		if transaction.State == "needs_update" {
			aside = append(aside, transaction.ID)
		}
	}
	for decision, ids := range map[string][]string{
		"resolve": aside[:(len(aside)+1)/2], "discard": aside[(len(aside)+1)/2:][:len(aside)/3],
	} {
		if len(ids) > 0 {
			c.f.control(http.MethodPost, c.control()+"/transactions:"+decision, map[string]any{"source": givingSource, "ids": ids}, nil)
		}
	}
	c.f.control(http.MethodPost, c.control()+"/gifts", map[string]any{"count": giftsByHand}, nil)
}

// awaitApplied waits until every webhook that is not lost was delivered, or given up by Virtuous, and what was received is applied. Parts that
// a killed process had claimed are free after two minutes, to which the clocks are advanced when nothing moves.
func (c *givingCourse) awaitApplied() {
	c.f.t.Helper()
	const quiet = 25 // looks
	last, same := 0, 0
	c.f.await(longest, c.customer()+": all webhooks are applied", func() bool {
		waiting := c.ledger().Events.Waiting + c.f.messages(bus.StreamWebhooks, bus.SubjectWebhooks(c.customer())) +
			c.f.count(`SELECT count(*) FROM webhook_inbox WHERE customer_id = $1 AND state = 'waiting'`, c.customer())
		if waiting != last {
			last, same = waiting, 0
		}
		if same++; waiting > 0 && same%quiet == 0 {
			c.f.advance(2*time.Minute + time.Second)
		}
		return waiting == 0
	})
}

// reconcile has the reconciler work all three categories. meanwhile is called when they are requested.
func (c *givingCourse) reconcile(meanwhile func()) {
	c.f.t.Helper()
	for _, category := range []string{"stuck", "needs_update", "missed_webhook"} {
		c.f.requestUnlessWaiting(bus.SubjectReconcile(category, c.customer()), c.customer())
	}
	meanwhile()
	c.f.await(longest, c.customer()+": it is reconciled", func() bool {
		if c.f.messages(bus.StreamReconcile, bus.SubjectReconcile("*", c.customer())) > 0 {
			return false
		}
		waiting := c.f.count(`SELECT count(*) FROM giving_reconciliations WHERE customer_id = $1`, c.customer())
		if waiting > 0 {
			c.advanceToWork()
		}
		return waiting == 0
	})
}

func TestDonationsUnderFaultsAndKillsAreWhereTheLedgerSays(t *testing.T) {
	t.Parallel()
	settings := map[string]string{"CLAIM_TIMEOUT": "5s", "VIRTUOUS_SHARE": "1", "VIRTUOUS_REQUESTS_PER_HOUR": "1000000", "GIVING_RECONCILE_EVERY": "168h"}
	maps.Copy(settings, fast)
	f := newFixture(t, settings)
	f.advance(0)
	address := testkit.FreeAddr(t)
	f.start(programOnboarding, f.toVirtuous())
	receiver, worker := f.start(programWebhooks, map[string]string{"WEBHOOK_ADDR": address}), f.start(programDonations, f.toVirtuous())
	total := givingFigures{}
	secrets := []string{donorName, donorHost}
	for seed := *givingFrom; seed < *givingFrom+*givingSeeds; seed++ {
		c := &givingCourse{
			f: f, seed: seed, chance: rand.New(rand.NewPCG(uint64(seed), 2)), amounts: map[string]string{},
			address: address, worker: worker, receiver: receiver,
		}
		secrets = append(secrets, c.key(), c.secret())
		c.begin(seed - *givingFrom + 1)
		c.live()
		c.act()
		c.awaitApplied()
		f.advance(25 * time.Hour)
		c.reconciler = f.start(programReconciler, f.toVirtuous())
		c.reconcile(func() {
			c.reconciler.Kill()
			f.advance(6 * time.Second)
			c.reconciler = f.start(programReconciler, f.toVirtuous())
		})
		f.advance(3 * day)
		c.reconcile(func() {})
		c.requireLedger()
		c.reconciler.Stop()
		worker, receiver = c.worker, c.receiver
		figures := c.figures()
		t.Logf("%s: %+v", c.customer(), figures)
		total.add(figures)
	}
	t.Logf("in all: %+v", total)
	require.NotZero(t, total.Repeats, "some transactions were sent again after a lost answer")
	require.NotZero(t, total.Lost)
	require.NotZero(t, total.Doubled)
	require.NotZero(t, total.Recovered)
	require.NotZero(t, total.NeedsReview)
	f.requireNowhere(secrets...)
}
