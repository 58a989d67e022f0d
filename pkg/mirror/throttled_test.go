package mirror_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/fault"
	"rollcall.dev/pkg/mirror"
)

func TestThrottledPageOpensNoLettersAndCommitsAcceptedRecords(t *testing.T) {
	t.Parallel()
	for name, batches := range map[string]bool{"one by one": false, "in batches": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			if batches {
				f = newBatchFixture(t, 5)
			}
			f.Concurrency = 1
			remaining := 7
			f.crm.setAnswer(func(id string, r *http.Request) (int, string) {
				if remaining--; remaining < 0 {
					return http.StatusTooManyRequests, ""
				}
				return accept(id, r)
			})
			f.crm.setRetryAfter("3600")

			_, err := f.apply(t, page(1, users(15)...), mirror.ApplyOptions{})

			require.ErrorIs(t, err, mirror.ErrDestinationThrottled)
			delay, _ := fault.After(err)
			require.Equal(t, time.Hour, delay)
			require.Empty(t, f.letters(t))
			require.Equal(t, []int64{7}, queryColumn[int64](t, f, `SELECT count(*) FROM user_mappings`))
			f.crm.acceptAll()
			f.crm.forgetRequests()
			outcome := f.mustApply(t, users(15)...)
			require.Equal(t, 8, outcome.Written)
			require.Equal(t, 7, outcome.Skipped)
		})
	}
}

func TestThrottledRedriveCountsNoAttempt(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.crm.respond(unprocessable, "", "1")
	f.mustApply(t, users(2)...)
	f.crm.respond(http.StatusServiceUnavailable, "")
	f.crm.setRetryAfter("60")

	_, err := f.apply(t, page(1, user("1")), mirror.ApplyOptions{Redrive: true})

	require.ErrorIs(t, err, mirror.ErrDestinationThrottled)
	require.Equal(t, []int32{1}, queryColumn[int32](t, f, `SELECT attempts FROM dead_letters`))
}
