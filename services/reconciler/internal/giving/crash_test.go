package giving

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/bus"
)

// TestCrashBetweenTwoStepsIsMadeUpForByTheNextPass covers the places in stuck and needs_update; those of missed_webhook have a test of their own.
func TestCrashBetweenTwoStepsIsMadeUpForByTheNextPass(t *testing.T) {
	t.Parallel()
	for _, one := range []struct {
		category, place string
		donations       int
		withGift        bool
	}{
		{bus.CategoryStuck, "looked_up", 3, true},
		{bus.CategoryStuck, "looked_up", 3, false},
		{bus.CategoryStuck, "recovered", 3, true},
		{bus.CategoryStuck, "queried", 51, true},
		{bus.CategoryNeedsUpdate, "looked_up", 3, true},
		{bus.CategoryNeedsUpdate, "looked_up", 3, false},
		{bus.CategoryNeedsUpdate, "recovered", 3, true},
		{bus.CategoryNeedsUpdate, "marked", 3, false},
	} {
		for crashAt := 1; crashAt <= 3; crashAt++ {
			t.Run(fmt.Sprintf("%s, %s %d, gift %t", one.category, one.place, crashAt, one.withGift), func(t *testing.T) {
				t.Parallel()
				f := newFixture(t)
				f.onboard(t, "acme")
				for i := range one.donations {
					id := fmt.Sprintf("don-%02d", i)
					f.submitted(t, "acme", id, 80*time.Hour)
					if one.withGift {
						f.gift(int64(i+1), id, noon)
					}
				}
				crashed, count := errors.New("the process died"), 0
				f.reconciler.reached = func(at string) error {
					if at == one.place {
						if count++; count == crashAt {
							return crashed
						}
					}
					return nil
				}
				f.reconcile(t, "acme", one.category)
				require.Equal(t, crashAt, count)
				require.Len(t, column[string](t, f, `SELECT category FROM giving_reconciliations`), 1, "the pass is not complete")
				f.reconcile(t, "acme")
				require.Empty(t, column[string](t, f, `SELECT category FROM giving_reconciliations`))

				status, entry := "submitted", ""
				switch {
				case one.withGift:
					status, entry = "confirmed", "auto_recovered"
				case one.category == bus.CategoryNeedsUpdate:
					status, entry = "needs_review", "marked_needs_review"
				}
				require.Equal(t, []string{fmt.Sprint(status, " ", one.donations)}, column[string](t, f, `SELECT concat_ws(' ', status, count(*))
					FROM virtuous_donation_queue GROUP BY status`))
				logged := f.logged(t, "acme")
				for _, line := range logged {
					require.True(t, strings.HasSuffix(line, entry), line)
				}
				expected := one.donations
				if entry == "" {
					expected = 0
				}
				require.Len(t, logged, expected, "each donation is logged once")
				require.Equal(t, []int64{int64(expected)}, column[int64](t, f, `SELECT count(*) FROM outbox WHERE subject LIKE 'rollcall.events.gift.confirmed.%'
					OR subject LIKE 'rollcall.events.donation.needs_review.%'`))
			})
		}
	}
}
