package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"rollcall.dev/pkg/config"
	"rollcall.dev/pkg/connector"
	"rollcall.dev/pkg/event"
	"rollcall.dev/pkg/round"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/testkit"
	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

// settle gives the customer rounds, ten minutes apart, until nothing is pending.
func (f *fixture) settle(t *testing.T) {
	t.Helper()
	for range 40 {
		if len(column[int64](t, f, `SELECT id FROM virtuous_donation_queue WHERE status = 'pending'
			UNION ALL SELECT id FROM virtuous_contact_queue WHERE status = 'pending'`)) == 0 {
			return
		}
		f.round(t)
		f.advance(t, 10*time.Minute)
	}
	require.Fail(t, "donations are still pending", f.states(t))
}

func TestDonationsAreSentOnceAndBecomeSubmitted(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "{}")
	for i := range 20 {
		f.give(t, fmt.Sprintf("don-%02d", i), nil)
	}
	end, ran := f.round(t)
	require.True(t, ran)
	require.Empty(t, end.Reason)
	sent := f.transactions(t)
	require.Len(t, sent, 20)
	require.JSONEq(t, `{"transactionSource":"AcmeGive","transactionId":"don-07","amount":"125.00","currencyCode":"USD","giftDate":"2026-11-20",
		"giftType":"Credit","batch":"Web","contact":{"firstname":"Ana","lastname":"Ruiz","email":"ana.ruiz@example.org"},
		"designations":[{"code":"CLEAN-WATER","amountDesignated":"125.00"}]}`, string(sent["don-07"].Body))
	require.Equal(t, []int64{20}, column[int64](t, f, `SELECT count(*) FROM virtuous_donation_queue
		WHERE status = 'submitted' AND submitted_at IS NOT NULL AND attempts = 1 AND NOT repeated AND attempt_started_at IS NULL AND last_error IS NULL`))
	_, ran = f.round(t)
	require.False(t, ran, "nothing is due")
	require.Equal(t, []string{"donation_submit success 20"}, column[string](t, f, `SELECT concat_ws(' ', job, outcome, processed_count) FROM job_log`))
}

func TestAnswersDecideWhatBecomesOfADonation(t *testing.T) {
	t.Parallel()
	type fields = map[string]any
	for name, one := range map[string]struct {
		fault  fields
		change fields
		state  string // after the first round
		hold   string
	}{
		"500":               {fault: fields{"kind": "status", "status": 500}, state: "pending 1 maybe status 500"},
		"520":               {fault: fields{"kind": "status", "status": 520}, state: "pending 1 maybe status 520"},
		"408":               {fault: fields{"kind": "status", "status": 408}, state: "pending 1 maybe status 408"},
		"a page":            {fault: fields{"kind": "page"}, state: "pending 1 maybe status 200"},
		"no answer":         {fault: fields{"kind": "drop"}, state: "pending 1 maybe virtuous_unreachable"},
		"a lost answer":     {fault: fields{"kind": "lost_answer"}, state: "pending 1 maybe virtuous_unreachable"},
		"429":               {fault: fields{"kind": "status", "status": 429, "retryAfter": "60"}, state: "pending 1 not status 429", hold: "virtuous_throttled"},
		"403":               {fault: fields{"kind": "status", "status": 403}, state: "pending 1 not status 403", hold: "virtuous_forbidden"},
		"one 401":           {fault: fields{"kind": "revoked"}, state: "pending 1 not status 401", hold: "virtuous_unavailable"},
		"an unknown code":   {change: fields{"designations": []any{fields{"code": "NOT-THERE", "amountDesignated": "125.00"}}}, state: "failed 1 not"},
		"422 with a detail": {fault: fields{"kind": "status", "status": 422, "shape": "documented"}, state: "failed 1 not status 422"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, "{}")
			f.projects.mode = config.ProjectCheckOff // Virtuous itself judges the code
			if one.fault != nil {
				one.fault["count"] = 1
				f.fault(t, one.fault)
			}
			f.give(t, "don-1", one.change)
			end, ran := f.round(t)
			require.True(t, ran)
			require.Equal(t, one.hold, end.Reason)
			require.Contains(t, column[string](t, f, `SELECT concat_ws(' ', status, attempts, CASE WHEN unanswered_since IS NULL THEN 'not' ELSE 'maybe' END,
				last_error) FROM virtuous_donation_queue WHERE attempt_started_at IS NULL`)[0], one.state)
			holds := column[string](t, f, `SELECT reason FROM giving_holds`)
			if one.hold == "" {
				require.Empty(t, holds)
			} else {
				require.Equal(t, []string{one.hold}, holds)
			}
			_, again := f.round(t)
			require.False(t, again, "it waits")
			if one.state[0] == 'f' {
				require.Equal(t, []string{"donation.failed"}, f.events(t))
				return
			}
			f.advance(t, 16*time.Minute)
			f.settle(t)
			require.Equal(t, []string{"don-1 submitted"}, f.states(t))
			require.Len(t, f.transactions(t), 1)
			require.Empty(t, column[string](t, f, `SELECT reason FROM giving_holds`))
			require.Empty(t, column[string](t, f, `SELECT type FROM alerts WHERE cleared_at IS NULL`))
		})
	}
}

func TestDelayOfARetriedDonationDoublesFromFiveSecondsToAnHour(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "{}")
	f.fault(t, map[string]any{"kind": "status", "status": 503})
	f.give(t, "don-1", nil)
	for attempt, longest := range []float64{5, 10, 20, 40} {
		_, ran := f.round(t)
		require.True(t, ran)
		wait := column[float64](t, f, `SELECT extract(epoch FROM next_attempt_at - rollcall_now())::float8 FROM virtuous_donation_queue`)[0]
		require.LessOrEqual(t, wait, longest, "after attempt %d", attempt+1)
		require.GreaterOrEqual(t, wait, 0.7*longest, "after attempt %d: a fifth is left to chance, and some time has passed", attempt+1)
		f.advance(t, time.Duration(longest+1)*time.Second)
	}
	f.exec(t, `UPDATE virtuous_donation_queue SET attempts = 40`)
	_, ran := f.round(t)
	require.True(t, ran)
	wait := column[float64](t, f, `SELECT extract(epoch FROM next_attempt_at - rollcall_now())::float8 FROM virtuous_donation_queue`)[0]
	require.LessOrEqual(t, wait, 3600.0)
	require.Greater(t, wait, 2800.0)
}

func TestKeyThatIsRejectedTwiceSwitchesGivingOffUntilAnotherComes(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "{}")
	f.control(t, http.MethodPut, "/virtuous/orgs/acme/key", map[string]any{"state": "revoked"})
	f.give(t, "don-1", nil)
	_, ran := f.round(t)
	require.True(t, ran)
	require.Equal(t, []string{"auth_failed"}, column[string](t, f, `SELECT disabled_reason FROM virtuous_configs WHERE NOT enabled`))
	require.Equal(t, []bool{true}, column[bool](t, f, `SELECT enabled FROM sync_configs`), "the mirror goes on")
	require.Equal(t, []string{"virtuous_auth_failed"}, column[string](t, f, `SELECT type FROM alerts WHERE cleared_at IS NULL`))
	require.Equal(t, []string{"don-1 pending"}, f.states(t))
	f.advance(t, time.Hour)
	_, ran = f.round(t)
	require.False(t, ran)

	f.control(t, http.MethodPut, "/virtuous/orgs/acme/key", map[string]any{"key": "v_new", "state": "good"})
	f.giveKey(t, "v_new")
	f.exec(t, `UPDATE virtuous_configs SET enabled = true, disabled_reason = NULL, updated_at = rollcall_now()`)
	f.settle(t)
	require.Equal(t, []string{"don-1 submitted"}, f.states(t))
	require.Empty(t, column[string](t, f, `SELECT type FROM alerts WHERE cleared_at IS NULL`))
}

func TestMissingKeySwitchesGivingOffWithoutCountingAsARejection(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "{}")
	f.give(t, "don-1", nil)
	f.exec(t, `DELETE FROM credentials`)
	_, ran := f.round(t)
	require.True(t, ran)
	require.Equal(t, []string{"auth_failed"}, column[string](t, f, `SELECT disabled_reason FROM virtuous_configs WHERE NOT enabled`))
	require.Equal(t, []string{"virtuous_auth_failed"}, column[string](t, f, `SELECT type FROM alerts WHERE cleared_at IS NULL`))
	require.Equal(t, []string{"virtuous_no_key"}, column[string](t, f, `SELECT reason FROM giving_holds`))
	require.Empty(t, column[string](t, f, `SELECT customer_id FROM virtuous_keys WHERE refused_at IS NOT NULL`))
}

func TestFoundGiftDoesNotSayThatTheKeyMaySubmit(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "{}")
	f.fault(t, map[string]any{"kind": "lost_answer", "count": 1})
	f.give(t, "don-1", nil)
	f.round(t)
	f.advance(t, 24*time.Hour)
	require.NoError(t, f.store.InTx(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		return event.Raise(ctx, tx, event.AlertFor(customer, event.AlertVirtuousForbidden))
	}))
	f.round(t)
	require.Equal(t, []string{"don-1 confirmed"}, f.states(t))
	require.Equal(t, []string{"virtuous_forbidden"}, column[string](t, f, `SELECT type FROM alerts WHERE cleared_at IS NULL`))
}

// A key that may submit and not read is no reason to raise and clear the alert by turns.
func TestAcceptedDonationClearsNoAlertThatAReconciliationRaised(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "{}")
	raise := func() {
		require.NoError(t, f.store.InTx(t.Context(), func(ctx context.Context, tx *store.Tx) error {
			return event.Raise(ctx, tx, event.AlertFor(customer, event.AlertVirtuousForbidden))
		}))
	}
	raise()
	f.exec(t, `INSERT INTO giving_reconciliations (customer_id, category, place, scheduled, asked_at, failures, fault)
		VALUES ($1, 'stuck', 0, true, now(), 1, 'virtuous_forbidden')`, customer)
	f.give(t, "don-1", nil)
	f.round(t)
	require.Equal(t, []string{"don-1 submitted"}, f.states(t))
	require.Equal(t, []string{"virtuous_forbidden"}, column[string](t, f, `SELECT type FROM alerts WHERE cleared_at IS NULL`))
	f.exec(t, `DELETE FROM giving_reconciliations`)
	f.give(t, "don-2", nil)
	f.round(t)
	require.Empty(t, column[string](t, f, `SELECT type FROM alerts WHERE cleared_at IS NULL`))
}

// While little of the customer's quota is left, reads wait for it and submissions go on.
func TestLookupThatWaitsForTheQuotaStopsNoSubmission(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "{}")
	f.control(t, http.MethodPut, "/virtuous/orgs/"+customer+"/quota", map[string]any{"limit": 5000, "spend": 4500})
	f.give(t, "don-1", nil)
	f.round(t) // its answer says that a tenth is left
	f.fault(t, map[string]any{"kind": "lost_answer", "count": 1})
	f.give(t, "don-2", nil)
	f.round(t)
	f.advance(t, 10*time.Second)
	f.give(t, "don-3", nil)
	end, ran := f.round(t)
	require.True(t, ran)
	require.Empty(t, end.Reason)
	require.Equal(t, []string{"don-1 submitted", "don-2 pending", "don-3 submitted"}, f.states(t))
	require.Equal(t, []string{"quota_low"}, column[string](t, f, `SELECT last_error FROM virtuous_donation_queue WHERE status = 'pending'`))
	require.Empty(t, column[string](t, f, `SELECT reason FROM giving_holds`))
}

func TestHoldIsStoredAlthoughAnAlertCannotBeCleared(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "{}")
	require.NoError(t, f.store.InTx(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		return event.Raise(ctx, tx, event.AlertFor(customer, event.AlertVirtuousForbidden))
	}))
	f.exec(t, `CREATE FUNCTION odd() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'odd' USING ERRCODE = '23514'; END $$`)
	f.exec(t, `CREATE TRIGGER odd BEFORE UPDATE ON alerts FOR EACH ROW WHEN (NEW.cleared_at IS NOT NULL) EXECUTE FUNCTION odd()`)
	f.fault(t, map[string]any{"kind": "status", "status": 429, "count": 1})
	f.give(t, "don-1", nil)
	f.give(t, "don-2", nil)
	end, ran := f.round(t)
	require.True(t, ran)
	require.Len(t, f.transactions(t), 1)
	require.Equal(t, "virtuous_throttled", end.Reason)
}

func TestSubmissionSaysThatTheKeyServiceAnswers(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "{}")
	require.NoError(t, f.store.InTx(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		return event.Raise(ctx, tx, event.AlertFor(rollcallv1.Installation, event.AlertKeeperUnavailable))
	}))
	f.give(t, "don-1", nil)
	f.round(t)
	require.Empty(t, column[string](t, f, `SELECT type FROM alerts WHERE cleared_at IS NULL`))
}

func TestPausedCustomerSendsNothing(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "{}")
	f.exec(t, `UPDATE sync_configs SET paused_at = now(), enabled = false, disabled_reason = 'auth_failed'`)
	f.give(t, "don-1", nil)
	_, ran := f.round(t)
	require.False(t, ran)
	f.exec(t, `UPDATE sync_configs SET paused_at = NULL`)
	f.settle(t)
	require.Equal(t, []string{"don-1 submitted"}, f.states(t), "VOMO's rejection of its token does not concern giving")
}

// errCrash ends the work of a round at a step, as the end of the process would.
var errCrash = errors.New("the process ended")

func TestCrashBetweenTwoStepsMakesNoSecondTransactionAndNoFailure(t *testing.T) {
	t.Parallel()
	for _, place := range []step{stepNoted, stepAnswered, stepRecorded, stepLookedUp} {
		for _, between := range []string{"nothing", "midnight"} {
			for _, answer := range []string{"given", "lost"} {
				t.Run(fmt.Sprint(place, ", ", between, ", answer ", answer), func(t *testing.T) {
					t.Parallel()
					f := newFixture(t, "{}")
					f.give(t, "don-1", nil)
					if answer == "lost" {
						f.fault(t, map[string]any{"kind": "lost_answer", "count": 1})
					}
					crashed := 0
					f.submitter.reached = func(at step) error {
						if at != place || crashed == 3 {
							return nil
						}
						crashed++
						return errCrash
					}
					if place == stepLookedUp { // the first attempt has no answer
						f.exec(t, `UPDATE virtuous_donation_queue SET unanswered_since = now() - interval '1 minute'`)
					}
					for range 3 {
						f.round(t)
						if between == "midnight" {
							f.advance(t, 24*time.Hour)
						} else {
							f.advance(t, 10*time.Second)
						}
					}
					require.Positive(t, crashed)
					f.settle(t)

					require.Len(t, f.transactions(t), 1)
					state := column[string](t, f, `SELECT status FROM virtuous_donation_queue`)[0]
					require.Contains(t, []string{"submitted", "confirmed"}, state)
					if state == "confirmed" {
						require.Equal(t, []string{"submission_lookup"}, column[string](t, f, `SELECT recovery_path FROM virtuous_donation_queue`))
						require.Equal(t, []string{"gift.created", "gift.confirmed"}, f.events(t))
						require.Equal(t, []string{"don-1"}, column[string](t, f, `SELECT platform_donation_id FROM partner_gifts`))
					}
					require.NotContains(t, f.events(t), "donation.failed")
					require.Equal(t, []bool{true}, column[bool](t, f, `SELECT submitted_at <= status_at FROM virtuous_donation_queue`))
				})
			}
		}
	}
}

func TestCrashAfterALookupThatFoundTheGiftConfirmsTheDonationOnce(t *testing.T) {
	t.Parallel()
	for _, place := range []step{stepLookedUp, stepConfirmed} {
		t.Run(string(place), func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, "{}")
			f.fault(t, map[string]any{"kind": "lost_answer", "count": 1})
			f.give(t, "don-1", nil)
			f.round(t)
			f.advance(t, 24*time.Hour)
			crashed := 0
			f.submitter.reached = func(at step) error {
				if at != place || crashed == 2 {
					return nil
				}
				crashed++
				return errCrash
			}
			f.round(t)
			f.advance(t, time.Minute)
			require.Positive(t, crashed)
			f.settle(t)
			require.Equal(t, []string{"don-1 confirmed"}, f.states(t))
			require.Equal(t, []string{"submission_lookup"}, column[string](t, f, `SELECT recovery_path FROM virtuous_donation_queue`))
			require.Equal(t, []string{"gift.created", "gift.confirmed"}, f.events(t))
			require.Len(t, f.transactions(t), 1)
		})
	}
}

func TestCrashAroundTheCheckOfProjectsSendsNothingUnchecked(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "{}")
	f.give(t, "don-1", to("NOT-THERE"))
	f.give(t, "don-2", nil)
	crashed := false
	f.submitter.reached = func(at step) error {
		if at != stepNoted || crashed {
			return nil
		}
		crashed = true
		return errCrash
	}
	f.round(t)
	require.True(t, crashed)
	f.advance(t, time.Minute)
	f.settle(t)
	require.Equal(t, []string{"don-1 failed", "don-2 submitted"}, f.states(t))
	require.Len(t, f.transactions(t), 1)
	require.Equal(t, 1, f.projectRequests(t))
}

func TestPanicPutsOffOneDonationAndTheOthersAreSent(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "{}")
	for i := range 6 {
		f.give(t, fmt.Sprintf("don-%d", i), nil)
	}
	var panicked atomic.Bool
	f.submitter.reached = func(at step) error {
		if at == stepNoted && panicked.CompareAndSwap(false, true) {
			panic("odd")
		}
		return nil
	}
	end, ran := f.round(t)
	require.True(t, ran)
	require.Empty(t, end.Reason)
	require.Len(t, f.transactions(t), 5)
	require.Equal(t, []string{"internal"}, column[string](t, f, `SELECT last_error FROM virtuous_donation_queue
		WHERE status = 'pending' AND next_attempt_at > updated_at`))
	f.advance(t, time.Hour)
	f.settle(t)
	require.Len(t, f.transactions(t), 6)
}

// sendGivingWay sends the only donation as one that is not the first of its round, and gives way when the step is reached.
func (f *fixture) sendGivingWay(t *testing.T, place step) {
	t.Helper()
	kind := f.submitter.kind()
	kind.Work = func(ctx context.Context, of *round.Round) (bool, error) {
		config, err := f.store.VirtuousConfig(ctx, of.Customer.ID)
		require.NoError(t, err)
		due, err := f.submitter.due(ctx, of.Customer.ID, 1)
		require.NoError(t, err)
		require.Len(t, due, 1)
		b := &batch{Round: of, submitter: f.submitter}
		require.NoError(t, b.begin(ctx, config))
		wanted, want := context.WithCancel(ctx)
		f.submitter.reached = func(at step) error {
			if at == place {
				want()
			}
			return nil
		}
		if place == "" {
			want()
		}
		require.NoError(t, b.sendUnit(connector.GiveWay(ctx, wanted), due))
		return false, nil
	}
	rounds := round.New(round.Config{Store: f.store, Logger: zap.NewNop(), Holder: "donations-2", LeaseFor: 30 * time.Second, Slots: 1, Kind: kind})
	rounds.Work(t.Context(), round.Next{Customer: customer}, make(chan struct{}))
	f.submitter.reached = nil
}

func TestADonationThatIsNotSentYetGivesWayToAnotherJob(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "{}")
	f.give(t, "don-1", nil)
	f.exec(t, `UPDATE virtuous_donation_queue SET projects_checked = true`)
	row := func() []string {
		return column[string](t, f, `SELECT concat_ws('/', status, attempts, unsent_attempts, (unanswered_since IS NULL)::text, (attempt_started_at IS NULL)::text,
			(next_attempt_at <= rollcall_now())::text) FROM virtuous_donation_queue`)
	}
	f.sendGivingWay(t, "")
	require.Equal(t, []string{"pending/0/0/true/true/true"}, row(), "before it begins")
	f.sendGivingWay(t, stepNoted)
	require.Equal(t, []string{"pending/0/0/true/true/true"}, row(), "before the request leaves")
	require.Empty(t, f.transactions(t))
	f.exec(t, `UPDATE virtuous_donation_queue SET unanswered_since = rollcall_now(), attempts = 1`)
	f.sendGivingWay(t, stepLookedUp)
	require.Equal(t, []string{"pending/1/0/false/true/true"}, row(), "after it was looked up")
	require.Empty(t, f.transactions(t))
	f.settle(t)
	require.Len(t, f.transactions(t), 1)
}

// delays gives the only donation rounds until it was put off so often, and returns for how long each time.
func (f *fixture) delays(t *testing.T, times int) (delays []time.Duration) {
	t.Helper()
	for range times {
		_, ran := f.round(t)
		require.True(t, ran)
		waits := column[time.Duration](t, f, `SELECT next_attempt_at - updated_at FROM virtuous_donation_queue WHERE status = 'pending'`)
		require.Len(t, waits, 1)
		delays = append(delays, waits[0])
		f.advance(t, waits[0]+time.Second)
	}
	return delays
}

func TestADonationWhoseWorkPanicsBeforeItIsSentWaitsTwiceAsLongEachTime(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "{}")
	f.give(t, "don-1", nil)
	f.exec(t, `UPDATE virtuous_donation_queue SET projects_checked = false`)
	f.submitter.projects = nil
	for i, delay := range f.delays(t, 12) {
		require.Equal(t, min(firstDelay<<i, longestDelay), delay)
	}
	require.Empty(t, f.transactions(t))
	f.submitter.projects = f.projects
	f.settle(t)
	require.Len(t, f.transactions(t), 1)
}

func TestADonationWaitsTwiceAsLongAfterEachAttemptWithoutAConnection(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "{}")
	f.give(t, "don-1", nil)
	f.exec(t, `UPDATE virtuous_donation_queue SET projects_checked = true`)
	here := f.submitter.virtuous.BaseURL
	f.submitter.virtuous.BaseURL = "http://" + testkit.FreeAddr(t)
	for i, delay := range f.delays(t, 12) {
		longest := min(firstDelay<<i, longestDelay)
		require.LessOrEqual(t, delay, longest)
		require.GreaterOrEqual(t, delay, longest*3/4, "attempt %d", i)
	}
	require.Equal(t, []string{"0 12 true"}, column[string](t, f,
		`SELECT concat_ws(' ', attempts, unsent_attempts, (unanswered_since IS NULL)::text) FROM virtuous_donation_queue`), "Virtuous cannot have accepted it")
	f.submitter.virtuous.BaseURL = here
	f.settle(t)
	require.Len(t, f.transactions(t), 1)
}

func TestUnknownAnswerToALookupChangesNoState(t *testing.T) {
	t.Parallel()
	f := newFixture(t, `{"heldLookup":"transaction"}`)
	f.fault(t, map[string]any{"kind": "lost_answer", "count": 1})
	f.give(t, "don-1", nil)
	f.round(t)
	f.advance(t, 10*time.Second)
	end, ran := f.round(t)
	require.True(t, ran)
	require.Empty(t, end.Reason, "it is of this donation alone")
	require.Equal(t, []string{"pending virtuous_unknown_answer 1"}, column[string](t, f,
		`SELECT concat_ws(' ', status, last_error, attempts) FROM virtuous_donation_queue`))

	for status, answers := range map[int]int{500: 3, 403: 1, 429: 1} { // a read that failed with 500 is tried three times
		f.fault(t, map[string]any{"kind": "status", "status": status, "operation": "gift_lookup", "count": answers})
		f.advance(t, time.Hour)
		f.round(t)
		require.Equal(t, []string{"don-1 pending"}, f.states(t))
	}
	f.advance(t, 24*time.Hour)
	f.settle(t)
	require.Equal(t, []string{"don-1 confirmed"}, f.states(t))
	require.Len(t, f.transactions(t), 1)
}

func TestDonationSealedWithADestroyedKeyFails(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "{}")
	f.give(t, "don-1", nil)
	f.exec(t, `UPDATE virtuous_donation_queue SET body_sealed = donation_sealed`)
	f.round(t)
	require.Equal(t, []string{"don-1 failed"}, f.states(t))
	require.Equal(t, []string{"donation.failed"}, f.events(t))
	require.Empty(t, f.transactions(t))
}
