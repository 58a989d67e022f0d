package main

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/config"
)

// giveSeveral captures donations whose projects need no check.
func (f *fixture) giveSeveral(t *testing.T, n int) {
	t.Helper()
	f.projects.mode = config.ProjectCheckOff
	for i := range n {
		f.give(t, fmt.Sprintf("don-%02d", i), nil)
	}
}

func TestDonationsAreSentTogether(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "{}")
	f.submitter.together = 4
	f.giveSeveral(t, 11)
	f.exec(t, `UPDATE virtuous_donation_queue SET transaction_source = 'Other' WHERE platform_donation_id IN ('don-03', 'don-08', 'don-09')`)
	f.exec(t, `UPDATE virtuous_donation_queue SET unanswered_since = rollcall_now() WHERE platform_donation_id = 'don-05'`)
	end, ran := f.round(t)
	require.True(t, ran)
	require.Empty(t, end.Reason)
	require.Len(t, f.transactions(t), 11)
	require.Equal(t, []int64{11}, column[int64](t, f, `SELECT count(*) FROM virtuous_donation_queue
		WHERE status = 'submitted' AND attempts = 1 AND NOT repeated AND attempt_started_at IS NULL AND last_error IS NULL`))
	require.Equal(t, map[string]int{"transactions": 3, "transaction": 1, "gift_lookup": 1}, f.operations(t), "4 and 3 of one source, 3 of the other")
	require.Equal(t, []string{"donation_submit success 11"}, column[string](t, f, `SELECT concat_ws(' ', job, outcome, processed_count) FROM job_log`))
}

func TestFailedRequestWithSeveralDonationsFallsBackToSingleOnes(t *testing.T) {
	t.Parallel()
	for name, one := range map[string]struct {
		settings  string
		fault     map[string]any
		bad       bool // one of the donations
		hold      string
		lookups   int
		submitted int // by the first round
		repeated  int64
	}{
		"a lost answer":                      {settings: "{}", fault: map[string]any{"kind": "lost_answer"}, lookups: 5, repeated: 5},
		"no answer":                          {settings: "{}", fault: map[string]any{"kind": "drop"}, lookups: 5},
		"500":                                {settings: "{}", fault: map[string]any{"kind": "status", "status": 500}, lookups: 5},
		"a page":                             {settings: "{}", fault: map[string]any{"kind": "page"}, lookups: 5},
		"400 for all":                        {settings: "{}", fault: map[string]any{"kind": "status", "status": 400}, lookups: 5},
		"400 for one, none is accepted":      {settings: "{}", bad: true, lookups: 5},
		"400 for one, the others are":        {settings: `{"batches":"each"}`, bad: true, lookups: 5, repeated: 4},
		"403 for such requests":              {settings: "{}", fault: map[string]any{"kind": "status", "status": 403}, submitted: 5},
		"401 for such requests":              {settings: "{}", fault: map[string]any{"kind": "revoked"}, submitted: 5},
		"429, after which they go on as one": {settings: "{}", fault: map[string]any{"kind": "status", "status": 429, "retryAfter": "5"}, hold: "virtuous_throttled"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, one.settings)
			f.submitter.together = 10
			f.giveSeveral(t, 4)
			states := []string{"don-00 submitted", "don-01 submitted", "don-02 submitted", "don-03 submitted", "don-04 submitted"}
			if one.bad {
				f.give(t, "don-04", to("NOT-THERE"))
				states[4] = "don-04 failed"
			} else {
				f.give(t, "don-04", nil)
			}
			if one.fault != nil {
				one.fault["operation"], one.fault["count"] = "transactions", 1
				f.fault(t, one.fault)
			}
			end, ran := f.round(t)
			require.True(t, ran)
			require.Equal(t, one.hold, end.Reason)
			require.Empty(t, f.events(t), "nothing failed yet")
			require.Equal(t, []int64{int64(one.submitted)}, column[int64](t, f, `SELECT count(*) FROM virtuous_donation_queue WHERE status = 'submitted'`))
			f.advance(t, time.Minute)
			f.settle(t)
			require.Equal(t, states, f.states(t))
			f.transactions(t) // none is there twice
			require.Equal(t, one.lookups, f.operations(t)["gift_lookup"])
			require.Equal(t, []int64{one.repeated}, column[int64](t, f, `SELECT count(*) FROM virtuous_donation_queue WHERE repeated`))
			if one.bad {
				require.Equal(t, []string{"donation.failed"}, f.events(t))
				require.Contains(t, column[string](t, f, `SELECT last_error FROM virtuous_donation_queue WHERE status = 'failed'`)[0], "status 400")
			}
		})
	}
}

func TestCrashWhileSeveralAreSentMakesNoSecondTransactionAndNoFailure(t *testing.T) {
	t.Parallel()
	for _, place := range []step{stepNoted, stepAnswered, stepRecorded} {
		for _, between := range []string{"nothing", "midnight"} {
			for _, answer := range []string{"given", "lost", "400"} {
				t.Run(fmt.Sprint(place, ", ", between, ", answer ", answer), func(t *testing.T) {
					t.Parallel()
					f := newFixture(t, "{}")
					f.submitter.together = 3
					f.giveSeveral(t, 3)
					switch answer {
					case "lost":
						f.fault(t, map[string]any{"kind": "lost_answer", "count": 1, "operation": "transactions"})
					case "400":
						f.fault(t, map[string]any{"kind": "status", "status": 400, "count": 1, "operation": "transactions"})
					}
					crashed := false
					f.submitter.reached = func(at step) error {
						if at != place || crashed {
							return nil
						}
						crashed = true
						return errCrash
					}
					f.round(t)
					require.True(t, crashed)
					require.Equal(t, place == stepRecorded, len(column[int64](t, f, `SELECT id FROM virtuous_donation_queue WHERE attempt_started_at IS NOT NULL`)) == 0)
					if between == "midnight" {
						f.advance(t, 24*time.Hour)
					} else {
						f.advance(t, 10*time.Second)
					}
					f.settle(t)
					require.Len(t, f.transactions(t), 3)
					require.Empty(t, column[string](t, f, `SELECT status FROM virtuous_donation_queue WHERE status NOT IN ('submitted', 'confirmed')`))
					require.NotContains(t, f.events(t), "donation.failed")
				})
			}
		}
	}
}

func TestPanicWhileSeveralAreSentPutsThemOff(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "{}")
	f.submitter.together = 3
	f.giveSeveral(t, 3)
	f.submitter.reached = func(step) error { panic("odd") }
	end, ran := f.round(t)
	require.True(t, ran)
	require.Empty(t, end.Reason)
	require.Equal(t, []string{"internal", "internal", "internal"}, column[string](t, f, `SELECT last_error FROM virtuous_donation_queue
		WHERE status = 'pending' AND next_attempt_at > rollcall_now() AND unanswered_since IS NOT NULL`))
	f.submitter.reached = nil
	f.advance(t, time.Hour)
	f.settle(t)
	require.Len(t, f.transactions(t), 3)
}

func TestUnreadableTransactionDoesNotStopTheOthersOfItsRequest(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "{}")
	f.submitter.together = 3
	f.giveSeveral(t, 3)
	f.exec(t, `UPDATE virtuous_donation_queue SET body_sealed = donation_sealed WHERE platform_donation_id = 'don-01'`)
	f.round(t)
	require.Equal(t, []string{"don-00 submitted", "don-01 failed", "don-02 submitted"}, f.states(t))
	require.Len(t, f.transactions(t), 2)
}
