package inbound_test

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"rollcall.dev/pkg/giving/inbound"
)

var shuffles = flag.Int("shuffles", 50, "in how many orders the same events are applied")

// storyEvents returns what happens to the gifts and contacts of the shuffled customers, each once.
func storyEvents() []happening {
	day := time.Date(2026, time.March, 1, 8, 0, 0, 31_234_500, time.UTC)
	minute := func(n int) time.Time { return day.Add(time.Duration(n) * time.Minute) }
	at := func(n int) time.Time { return received.Add(time.Duration(n) * time.Minute) }
	deleted := map[string]any{"id": int64(12)}
	return []happening{
		// a donation's gift, then edited
		{entity: "gift", verb: "create", record: gift(10, 1, "125.00", "don-1", minute(0)), at: at(0)},
		{entity: "gift", verb: "update", record: gift(10, 1, "120.00", "don-1", minute(9)), at: at(9)},
		// a gift that staff entered, of which only updates and a read are known
		{entity: "gift", verb: "update", record: gift(11, 2, "40", "", minute(1)), at: at(1)},
		{entity: "gift", verb: "update", record: gift(11, 3, "41", "", minute(2)), at: at(2)},
		{entity: "gift", verb: "update", record: gift(11, 3, "42.5", "", minute(3)), at: at(8), read: true},
		// created, changed, deleted
		{entity: "gift", verb: "create", record: gift(12, 2, "7", "don-2", minute(2)), at: at(2)},
		{entity: "gift", verb: "update", record: gift(12, 2, "8", "don-2", minute(4)), at: at(4)},
		{entity: "gift", verb: "delete", record: deleted, at: at(5)},
		{entity: "gift", verb: "delete", record: map[string]any{"id": int64(404)}, at: at(5)},
		// deleted, and restored later
		{entity: "gift", verb: "create", record: gift(13, 4, "9.99", "", minute(3)), at: at(3)},
		{entity: "gift", verb: "delete", record: map[string]any{"id": int64(13)}, at: at(6)},
		{entity: "gift", verb: "update", record: gift(13, 4, "9.99", "", minute(7)), at: at(20), read: true},
		// a reversal
		{entity: "gift", verb: "create", record: gift(14, 1, "-125.00", "", minute(10)), at: at(10)},
		// a chain of merges, 1 → 2 → 3, and what belongs to its contacts
		{entity: "contact", verb: "create", record: contact(1, 0, "Ruiz, Ana", minute(0), "donor-1"), at: at(0)},
		{entity: "contact", verb: "create", record: contact(2, 0, "Ruiz, A.", minute(0), "donor-2"), at: at(0)},
		{entity: "contact", verb: "update", record: contact(1, 2, "Ruiz, Ana", minute(11)), at: at(11)},
		{entity: "contact", verb: "update", record: contact(2, 3, "Ruiz, A.", minute(12), "donor-1", "donor-2"), at: at(12)},
		{entity: "contact", verb: "update", record: contact(3, 0, "Ruiz, Ana M.", minute(13), "donor-3"), at: at(14), read: true},
		// a circle of merges
		{entity: "contact", verb: "update", record: contact(4, 5, "Ode", minute(5), "donor-4"), at: at(5)},
		{entity: "contact", verb: "update", record: contact(5, 6, "Ode", minute(6)), at: at(6)},
		{entity: "contact", verb: "update", record: contact(6, 5, "Ode", minute(7)), at: at(7)},
	}
}

// shuffled returns the events in some order, each in the finest precision and in some others, in some envelopes.
func shuffled(seed uint64) ([]inbound.Record, error) {
	random := rand.New(rand.NewPCG(seed, 11))
	var all []happening
	for _, one := range storyEvents() {
		for _, precise := range []int{finest, random.IntN(len(precisions)), random.IntN(len(precisions))} {
			one.precise, one.form = precise, random.IntN(4)
			all = append(all, one)
		}
	}
	random.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	records := make([]inbound.Record, 0, len(all))
	for _, one := range all {
		record, err := one.parsed()
		if err != nil {
			return nil, err
		}
		records = append(records, record)
	}
	return records, nil
}

func TestEveryOrderOfEventsLeadsToTheSameTables(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	got := make([]string, *shuffles)
	names := make([]string, *shuffles)
	for i := range names {
		names[i] = fmt.Sprintf("c%d", i)
		f.addCustomer(t, names[i])
		f.addDonation(t, names[i], "don-1", []string{"submitted", "needs_review", "failed", "pending", "closed"}[i%5])
		f.addDonation(t, names[i], "don-2", "submitted")
	}
	group, ctx := errgroup.WithContext(t.Context())
	group.SetLimit(4)
	for i := range names {
		group.Go(func() (err error) {
			got[i], err = f.playShuffled(ctx, names[i], uint64(i))
			return err
		})
	}
	require.NoError(t, group.Wait())
	for i := range got {
		require.Equal(t, got[0], got[i], "shuffle %d", i)
	}
	require.Contains(t, got[0], "contact 4 merged Household 5 5")
	require.Contains(t, got[0], "donation don-1 confirmed 10 3 ")
}

// playShuffled applies a shuffle in transactions of some records, and returns the tables. Applied once more, it changes nothing.
func (f *fixture) playShuffled(ctx context.Context, name string, seed uint64) (string, error) {
	records, err := shuffled(seed)
	if err != nil {
		return "", err
	}
	random := rand.New(rand.NewPCG(seed, 12))
	pass := inbound.Pass{Customer: name, Job: "webhook"}
	for left := records; len(left) > 0; {
		size := min(len(left), 1+random.IntN(60))
		if _, err := f.applier.ApplyAll(ctx, pass, left[:size]); err != nil {
			return "", err
		}
		left = left[size:]
	}
	once, err := f.tables(ctx, name)
	if err != nil {
		return "", err
	}
	outcomes, err := f.applier.ApplyAll(ctx, pass, records)
	if err != nil {
		return "", err
	}
	for _, outcome := range outcomes {
		if outcome.IsApplied() {
			return "", fmt.Errorf("seed %d: applied once more, %v changed something", seed, outcome)
		}
	}
	twice, err := f.tables(ctx, name)
	if err == nil && twice != once {
		return "", fmt.Errorf("seed %d: applied once more, the tables are others:\n%s\n%s", seed, once, twice)
	}
	return once, err
}
