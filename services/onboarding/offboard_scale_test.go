package main

import (
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/store"
)

// TestScaleOfAnOffboarding blanks and purges a large customer. The full size is for a run by hand:
//
//	ROLLCALL_SCALE_OFFBOARD=1000000 go test -run ScaleOfAnOffboarding -v -timeout 60m rollcall.dev/services/onboarding
func TestScaleOfAnOffboarding(t *testing.T) {
	t.Parallel()
	users := 20_000
	if wanted := os.Getenv("ROLLCALL_SCALE_OFFBOARD"); wanted != "" {
		var err error
		users, err = strconv.Atoi(wanted)
		require.NoError(t, err)
	}
	f := newSettlerFixture(t, "2026-01-15T00:00:00Z")
	f.receiveRequest(t, 1, "")
	f.sql(t, fmt.Sprintf(`INSERT INTO user_mappings SELECT 'acme', n::text, 'crm-' || n, 'ana' || n || '@example.org', now(), '2026-01-01',
		sha256(n::text::bytea), substr(sha256(n::text::bytea), 1, 29) FROM generate_series(1, %d) n`, users))
	f.offboard(t, 2)
	// work works batches until the step is over, and returns the longest of them.
	work := func(step store.OffboardingStep) (longest time.Duration) {
		at := f.requireStep(t, step)
		began, batches := time.Now(), 0
		for at.Step == step {
			start := time.Now()
			var err error
			at, err = f.offboarder.step(t.Context(), at)
			require.NoError(t, err)
			longest, batches = max(longest, time.Since(start)), batches+1
		}
		t.Logf("%s of %d users: %s, %d batches, the longest %s", step, users, time.Since(began).Round(time.Millisecond), batches,
			longest.Round(time.Millisecond))
		return longest
	}

	require.Less(t, work(store.OffboardingBlanksRecords), 5*time.Second, "a batch is short, however many users there are")
	f.sql(t, `UPDATE offboardings SET step = 'purge', cursor = ''`)
	require.Less(t, work(store.OffboardingPurges), 5*time.Second)
	require.Zero(t, f.count(t, mappedOf+`'acme'`))
}
