package main

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/event"
	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/round"
	"rollcall.dev/pkg/service"
	"rollcall.dev/pkg/store"
)

func TestOwnedFieldIsWrittenToVOMOWithTheOthersUnchanged(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.user(t, "1", "Ana@example.org")

	f.work(t, map[string]any{"externalUserId": "crm-1", "email": "ana@EXAMPLE.org", "phone": "555-0199"})

	f.requireCounts(t, 1, 0)
	require.Equal(t, "done written", f.row(t))
	user := f.inVomo("1")
	require.Equal(t, "555-0199", user["phone"])
	require.Equal(t, []any{"Ana", "Ruiz", "Ana@example.org", "1990-04-02", "F"},
		[]any{user["first_name"], user["last_name"], user["email"], user["birthday"], user["gender"]})
	require.Equal(t, 1, value[int](t, f, `SELECT count(*) FROM sync_audit WHERE operation = 'writeback' AND succeeded AND record_id = '1'`))
	require.Equal(t, 1, value[int](t, f, `SELECT count(*) FROM writebacks WHERE values_sealed IS NULL`), "written values are not kept")
	require.Equal(t, "success", value[string](t, f, `SELECT outcome FROM job_log WHERE job = 'writeback'`))
}

func TestEchoOfAWriteBackIsNotWrittenToTheDestinationAndIsNoEvent(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.user(t, "1", "ana@example.org")
	events := value[int](t, f, `SELECT count(*) FROM outbox`)
	f.work(t, map[string]any{"vomoUserId": "1", "phone": "555-0199"})

	require.Zero(t, f.poll(t))

	f.requireCounts(t, 1, 0)
	require.Equal(t, events, value[int](t, f, `SELECT count(*) FROM outbox`))
	at := value[time.Time](t, f, `SELECT last_synced_updated_at FROM user_mappings`)
	require.True(t, at.Equal(f.clock), "the version that VOMO answered is the mapped one")
}

func TestChangeOfVOMOThatNoPollHasSeenIsNotLostByAWriteBack(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.user(t, "1", "ana@example.org")
	f.edit("1", map[string]any{"first_name": "Anna"})

	f.work(t, map[string]any{"vomoUserId": "1", "phone": "555-0199"})
	require.Equal(t, "Anna", f.inVomo("1")["first_name"])
	require.Equal(t, 1, f.poll(t), "the destination has not got the name yet")
	require.Equal(t, "Anna", f.crm["1"]["first_name"])
	require.Equal(t, "555-0100", f.crm["1"]["phone"], "the destination keeps its own value")
}

func TestNewerRequestIsMergedOverOneThatWasNotSent(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.user(t, "1", "ana@example.org")
	f.send(t, map[string]any{"externalUserId": "crm-1", "phone": "555-0111", "lastName": "Ruiz-Gil"})
	f.send(t, map[string]any{"vomoUserId": "1", "phone": "555-0122"})

	require.Equal(t, round.End{}, f.round(t))

	f.requireCounts(t, 1, 0)
	require.Equal(t, "555-0122", f.inVomo("1")["phone"])
	require.Equal(t, "Ruiz-Gil", f.inVomo("1")["last_name"])
}

func TestMessageDeliveredAgainOrLateBringsNoOlderValueBack(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.user(t, "1", "ana@example.org")
	f.sequence = 10
	f.work(t, map[string]any{"vomoUserId": "1", "phone": "555-0122"})

	f.deliver(t, 11, map[string]any{"vomoUserId": "1", "phone": "555-0122"}) // again
	require.Equal(t, "done written", f.row(t))
	f.deliver(t, 5, map[string]any{"vomoUserId": "1", "phone": "555-0111", "lastName": "Older"}) // late: nothing newer has the name
	require.Equal(t, round.End{}, f.round(t))
	require.Equal(t, "555-0122", f.inVomo("1")["phone"])
	require.Equal(t, "Older", f.inVomo("1")["last_name"])
}

func TestFieldsThatTheExternalSystemDoesNotOwnAreRefusedEach(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.user(t, "1", "ana@example.org")

	f.work(t, map[string]any{"vomoUserId": "1", "phone": "555-0199", "firstName": "Anna", "gender": "N"})

	require.Equal(t, "Ana", f.inVomo("1")["first_name"])
	require.Equal(t, "F", f.inVomo("1")["gender"])
	require.Equal(t, "555-0199", f.inVomo("1")["phone"])
	require.Equal(t, []string{"firstName", "gender"}, value[[]string](t, f, `SELECT refused FROM writebacks`))
	require.Equal(t, []string{"field_not_owned:firstName", "field_not_owned:gender"},
		column[string](t, f, `SELECT error_code FROM sync_audit WHERE NOT succeeded ORDER BY error_code`))

	f.work(t, map[string]any{"vomoUserId": "1", "firstName": "Anna"})
	require.Equal(t, "letter", f.row(t), "nothing of it may be written")
	require.Equal(t, "field_not_owned", value[string](t, f, `SELECT error_code FROM dead_letters WHERE kind = 'writeback' AND state = 'review'`))
	require.Contains(t, value[string](t, f, `SELECT reason FROM dead_letters`), "firstName")
}

func TestCustomerWithoutWriteBackWritesNothing(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.user(t, "1", "ana@example.org")
	f.owns(t, true)

	f.work(t, map[string]any{"vomoUserId": "1", "phone": "555-0199"})

	f.requireCounts(t, 0, 0)
	require.Equal(t, "writeback_off", value[string](t, f, `SELECT error_code FROM dead_letters WHERE kind = 'writeback'`))
}

func TestAddressThatDiffersFromVOMOsIsNeverWritten(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.user(t, "1", "ana@example.org")

	f.work(t, map[string]any{"externalUserId": "crm-1", "email": "ana@elsewhere.example", "phone": "555-0199"})

	f.requireCounts(t, 0, 0)
	require.Equal(t, "review", f.row(t))
	require.Equal(t, []string{"rollcall.alerts.high.email_mismatch_bidirectional.acme"},
		column[string](t, f, `SELECT subject FROM outbox WHERE subject LIKE '%alerts%'`))
	require.Equal(t, "1", value[string](t, f, `SELECT details->>'vomoUserId' FROM alerts WHERE type = 'email_mismatch_bidirectional'`))
	for _, table := range []string{"writebacks", "review_items", "outbox", "alerts", "sync_audit", "dead_letters"} {
		for _, row := range column[string](t, f, `SELECT t::text FROM `+table+` t`) {
			require.NotContains(t, row, "elsewhere", table)
			require.NotContains(t, row, "555-0199", table)
		}
	}
	shown := f.shownReview(t)
	require.Equal(t, "email_mismatch", shown.Reason)
	require.Equal(t, []operatorapi.ReviewDetail{{Field: "email", External: "ana@elsewhere.example", Vomo: "ana@example.org"}}, shown.Details)
	require.Equal(t, []string{"keep-vomo", "retry-with-vomo-email", "dismiss"}, shown.Decisions)
	require.Equal(t, "1", *shown.RecordID)

	require.Equal(t, round.End{Reason: "held, or nothing waits"}, f.round(t), "a person decides")
}

// shownReview returns the only open item as `review show` does.
func (f *fixture) shownReview(t *testing.T) operatorapi.ReviewShown {
	t.Helper()
	listed, err := f.reviewer.list(t.Context(), operatorapi.ReviewsQuestion{CustomerID: customer})
	require.NoError(t, err)
	require.Len(t, listed.Items, 1)
	shown, err := f.reviewer.show(t.Context(), operatorapi.ReviewQuestion{CustomerID: customer, ItemID: listed.Items[0].ID})
	require.NoError(t, err)
	return shown
}

func (f *fixture) decide(t *testing.T, decision string) {
	t.Helper()
	_, err := f.reviewer.resolve(t.Context(), operatorapi.ReviewDecision{CustomerID: customer, ItemID: f.shownReview(t).ID, Decision: decision})
	require.NoError(t, err)
}

func TestDecisionsAboutAnAddress(t *testing.T) {
	t.Parallel()
	mismatch := map[string]any{"externalUserId": "crm-1", "email": "ana@elsewhere.example", "phone": "555-0199"}
	for decision, check := range map[string]func(t *testing.T, f *fixture){
		decisionRetryWithVomoEmail: func(t *testing.T, f *fixture) {
			t.Helper()
			require.Equal(t, round.End{}, f.round(t))
			f.requireCounts(t, 1, 0)
			require.Equal(t, "555-0199", f.inVomo("1")["phone"])
			require.Equal(t, "ana@example.org", f.inVomo("1")["email"])
			require.Equal(t, "done written", f.row(t))
		},
		decisionKeepVomo: func(t *testing.T, f *fixture) {
			t.Helper()
			require.Equal(t, round.End{}, f.round(t))
			f.requireCounts(t, 0, 1)
			require.Equal(t, "ana@example.org", f.crm["1"]["email"])
			require.Equal(t, "done kept_vomo", f.row(t))
		},
		decisionDismiss: func(t *testing.T, f *fixture) {
			t.Helper()
			require.Equal(t, "held, or nothing waits", f.round(t).Reason)
			f.requireCounts(t, 0, 0)
			require.Equal(t, "done dismissed", f.row(t))
		},
	} {
		t.Run(decision, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			f.user(t, "1", "ana@example.org")
			f.work(t, mismatch)
			f.decide(t, decision)
			check(t, f)
			require.Equal(t, 1, value[int](t, f, `SELECT count(*) FROM review_items WHERE state = 'decided' AND decision = $1 AND details_sealed IS NULL`, decision))
		})
	}
}

func TestReviewItemIsDecidedOnceAndOnlyAsItAllows(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.user(t, "1", "ana@example.org")
	f.work(t, map[string]any{"vomoUserId": "1", "email": "ana@elsewhere.example"})
	id := f.shownReview(t).ID

	_, err := f.reviewer.resolve(t.Context(), operatorapi.ReviewDecision{CustomerID: customer, ItemID: id, Decision: "create"})
	var bad *service.BadRequestError
	require.ErrorAs(t, err, &bad)
	require.Contains(t, bad.Text, "keep-vomo, retry-with-vomo-email, dismiss")
	f.decide(t, decisionDismiss)
	_, err = f.reviewer.resolve(t.Context(), operatorapi.ReviewDecision{CustomerID: customer, ItemID: id, Decision: decisionDismiss})
	var conflict *service.ConflictError
	require.ErrorAs(t, err, &conflict)
	_, err = f.reviewer.show(t.Context(), operatorapi.ReviewQuestion{CustomerID: customer, ItemID: id + 1})
	require.ErrorIs(t, err, store.ErrNotFound)
}

func TestNewerRequestReplacesAReviewItem(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.user(t, "1", "ana@example.org")
	f.work(t, map[string]any{"vomoUserId": "1", "email": "ana@elsewhere.example", "phone": "555-0199"})

	f.work(t, map[string]any{"vomoUserId": "1", "email": "ana@example.org"})

	require.Equal(t, "done written", f.row(t))
	require.Equal(t, "555-0199", f.inVomo("1")["phone"], "the value that waited, too")
	require.Equal(t, "superseded", value[string](t, f, `SELECT state FROM review_items`))
}

func TestSuccessThatChangedNothingIsAReviewItem(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.user(t, "1", "ana@example.org")
	f.set(func() { f.foreign["1"] = true })

	f.work(t, map[string]any{"vomoUserId": "1", "phone": "555-0199"})

	require.Equal(t, "review", f.row(t))
	shown := f.shownReview(t)
	require.Equal(t, "not_taken_over", shown.Reason)
	require.Equal(t, []operatorapi.ReviewDetail{{Field: "phone", External: "555-0199"}}, shown.Details)

	f.set(func() { f.foreign["1"] = false })
	f.decide(t, decisionRetry)
	require.Equal(t, round.End{}, f.round(t))
	require.Equal(t, "done written", f.row(t))
}

func TestValueThatVOMOFormatsIsTakenOver(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.user(t, "1", "ana@example.org")
	f.set(func() { f.posted = func(user map[string]any) { user["phone"] = "(555) 0199" } })

	f.work(t, map[string]any{"vomoUserId": "1", "phone": "555-0199"})

	require.Equal(t, "done written", f.row(t))
}

func TestUnmappedUserIsLinkedCreatedOrReviewed(t *testing.T) {
	t.Parallel()
	complete := map[string]any{
		"externalUserId": "crm-9", "email": "Nia@Example.org", "firstName": "Nia", "lastName": "O'Dell", "birthday": "1991-01-01", "gender": "N", "phone": "555-0142",
	}
	t.Run("one user has the address", func(t *testing.T) {
		t.Parallel()
		f := newFixture(t)
		f.set(func() {
			f.users["5"], f.users["6"] = vomoUser("5", "nia@example.org"), vomoUser("6", "annia@example.org")
		})
		f.work(t, complete)
		f.requireCounts(t, 1, 0)
		require.Equal(t, "555-0142", f.inVomo("5")["phone"])
		require.Equal(t, "Ana", f.inVomo("5")["first_name"], "not owned")
		require.Equal(t, "5", value[string](t, f, `SELECT vomo_user_id FROM writebacks`))
	})
	t.Run("none, and it is added", func(t *testing.T) {
		t.Parallel()
		f := newFixture(t)
		f.owns(t, true, "phone")
		f.work(t, complete)
		require.Equal(t, "done created", f.row(t))
		require.Equal(t, "N", f.inVomo("1")["gender"], "there is no value of VOMO's to protect")
		require.Equal(t, 1, f.poll(t), "the destination learns the new user's id")
		f.work(t, map[string]any{"externalUserId": "crm-9", "phone": "555-0143"})
		require.Equal(t, "555-0143", f.inVomo("1")["phone"])
		require.Len(t, f.users, 1)
		require.Zero(t, f.poll(t))
	})
	t.Run("none, and it must not be added", func(t *testing.T) {
		t.Parallel()
		f := newFixture(t)
		f.work(t, complete)
		f.requireCounts(t, 0, 0)
		require.Equal(t, "not_in_vomo", f.shownReview(t).Reason)
		f.decide(t, decisionCreate)
		require.Equal(t, round.End{}, f.round(t))
		require.Equal(t, "done created", f.row(t))
	})
	t.Run("several", func(t *testing.T) {
		t.Parallel()
		f := newFixture(t)
		f.set(func() {
			f.users["5"], f.users["6"] = vomoUser("5", "nia@example.org"), vomoUser("6", "NIA@example.org")
		})
		f.work(t, complete)
		f.requireCounts(t, 0, 0)
		require.Equal(t, "several_users", f.shownReview(t).Reason)
	})
	t.Run("the destination has the user as another record", func(t *testing.T) {
		t.Parallel()
		f := newFixture(t)
		f.user(t, "5", "nia@example.org") // as crm-5
		f.work(t, complete)
		f.requireCounts(t, 0, 0)
		require.Equal(t, "linked_elsewhere", f.shownReview(t).Reason)
		f.decide(t, decisionLink)
		require.Equal(t, round.End{}, f.round(t))
		require.Equal(t, "555-0142", f.inVomo("5")["phone"])
	})
	t.Run("a required field is missing", func(t *testing.T) {
		t.Parallel()
		f := newFixture(t)
		f.owns(t, true, "phone")
		f.work(t, map[string]any{"externalUserId": "crm-9", "email": "nia@example.org", "firstName": "Nia"})
		require.Equal(t, "writeback_incomplete", value[string](t, f, `SELECT error_code FROM dead_letters`))
		require.Contains(t, value[string](t, f, `SELECT reason FROM dead_letters`), "lastName, birthday, gender")
		f.work(t, map[string]any{"externalUserId": "crm-9", "lastName": "O'Dell", "birthday": "1991-01-01", "gender": "N"})
		require.Equal(t, "done created", f.row(t), "a newer message has completed it")
		require.Equal(t, "superseded", value[string](t, f, `SELECT settled_how FROM dead_letters`))
	})
}

func TestRejectedWriteIsALetterWhoseRetryMakesTheRowDue(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.user(t, "1", "ana@example.org")
	rejects := func(r *http.Request) int {
		if r.Method == http.MethodPost {
			return http.StatusUnprocessableEntity
		}
		return 0
	}
	f.set(func() { f.answers = rejects })

	f.work(t, map[string]any{"vomoUserId": "1", "phone": "555-0199"})

	require.Equal(t, "letter", f.row(t))
	require.Equal(t, "vomo_http_422 permanent review 1", value[string](t, f,
		`SELECT error_code || ' ' || error_class || ' ' || state || ' ' || record_id FROM dead_letters WHERE kind = 'writeback'`))
	require.Contains(t, value[string](t, f, `SELECT reason FROM dead_letters`), "phone")
	require.NotContains(t, value[string](t, f, `SELECT reason FROM dead_letters`), "ana@")

	f.set(func() { f.answers = func(*http.Request) int { return 0 } })
	f.askLetters(t)
	require.Equal(t, "redriven", value[string](t, f, `SELECT settled_how FROM dead_letters`))
	require.Equal(t, round.End{}, f.round(t))
	require.Equal(t, "555-0199", f.inVomo("1")["phone"])
}

// openLetters returns the open letters.
func (f *fixture) openLetters(t *testing.T) []uuid.UUID {
	t.Helper()
	return column[uuid.UUID](t, f, `SELECT id FROM dead_letters WHERE state <> 'settled'`)
}

// askLetters asks for a retry of all open letters, as an operator does.
func (f *fixture) askLetters(t *testing.T) {
	t.Helper()
	require.NoError(t, f.store.InTx(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		_, err := tx.AskLetters(ctx, f.openLetters(t))
		return err
	}))
}

func (f *fixture) discardLetters(t *testing.T) {
	t.Helper()
	require.NoError(t, f.store.InTx(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		_, err := tx.DiscardLetters(ctx, f.openLetters(t), "")
		return err
	}))
}

func TestDiscardedLetterGivesTheValuesUp(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.user(t, "1", "ana@example.org")
	f.work(t, map[string]any{"vomoUserId": "1", "firstName": "Anna"})
	require.Equal(t, "letter", f.row(t))

	f.discardLetters(t)

	require.Equal(t, "done discarded", f.row(t))
	require.Equal(t, 1, value[int](t, f, `SELECT count(*) FROM writebacks WHERE values_sealed IS NULL`))
}

func TestUserThatVOMODoesNotReturnIsALetterAndNothingElse(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.user(t, "1", "ana@example.org")
	f.set(func() { delete(f.users, "1") })

	f.work(t, map[string]any{"vomoUserId": "1", "phone": "555-0199"})

	require.Equal(t, "source_not_found", value[string](t, f, `SELECT error_code FROM dead_letters`))
	require.Equal(t, 1, value[int](t, f, `SELECT count(*) FROM user_mappings`))
}

func TestOutagesOfVOMOHoldTheCustomerAndAreNoFailureOfARow(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		status        int
		method        string // the method that fails, "" for all
		reason, alert string
		disabled      bool
	}{
		"unavailable":         {status: http.StatusBadGateway, reason: "vomo_unavailable"},
		"throttled":           {status: http.StatusTooManyRequests, reason: "vomo_throttled"},
		"token rejected":      {status: http.StatusUnauthorized, reason: event.AlertAuthFailed, alert: event.AlertAuthFailed, disabled: true},
		"token may not read":  {status: http.StatusForbidden, reason: event.AlertVomoForbidden, alert: event.AlertVomoForbidden},
		"token may not write": {status: http.StatusForbidden, method: http.MethodPost, reason: event.AlertWritebackForbidden, alert: event.AlertWritebackForbidden},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			f.user(t, "1", "ana@example.org")
			f.set(func() {
				f.answers = func(r *http.Request) int {
					if c.method == "" || r.Method == c.method {
						return c.status
					}
					return 0
				}
			})
			f.send(t, map[string]any{"vomoUserId": "1", "phone": "555-0199"})

			require.Equal(t, c.reason, f.round(t).Reason)

			require.Equal(t, "waiting", f.row(t))
			require.Equal(t, 0, value[int](t, f, `SELECT count(*) FROM dead_letters`))
			require.Equal(t, c.reason, value[string](t, f, `SELECT reason FROM writeback_holds`))
			require.Equal(t, !c.disabled, value[bool](t, f, `SELECT enabled FROM sync_configs`))
			if c.alert != "" {
				require.Equal(t, []string{c.alert}, column[string](t, f, `SELECT type FROM alerts WHERE cleared_at IS NULL`))
			}
			require.Equal(t, "held, or nothing waits", f.round(t).Reason)

			f.set(func() { f.answers = func(*http.Request) int { return 0 } })
			f.exec(t, `UPDATE writeback_holds SET until = now()`)
			f.exec(t, `UPDATE sync_configs SET enabled = true`)
			require.Equal(t, round.End{}, f.round(t))
			require.Equal(t, "done written", f.row(t))
			require.Equal(t, 0, value[int](t, f, `SELECT count(*) FROM writeback_holds`))
			if c.alert == event.AlertWritebackForbidden {
				require.Equal(t, 0, value[int](t, f, `SELECT count(*) FROM alerts WHERE cleared_at IS NULL`))
			}
		})
	}
}

func TestCrashBetweenTheWriteAndItsCommitRepeatsNothing(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.user(t, "1", "ana@example.org")
	f.send(t, map[string]any{"vomoUserId": "1", "phone": "555-0199"})
	// The lane is lost while VOMO answers: the write has happened, and nothing is committed.
	f.set(func() {
		f.posted = func(map[string]any) { f.exec(t, `UPDATE customer_leases SET epoch = epoch + 1, expires_at = now()`) }
	})
	require.Equal(t, round.HeldLaneLost, f.round(t).Reason)
	require.Equal(t, "waiting", f.row(t))
	f.set(func() { f.posted = func(map[string]any) {} })

	require.Zero(t, f.poll(t), "the echo of the uncommitted write is not written to the destination")
	require.Equal(t, round.End{}, f.round(t))

	f.requireCounts(t, 1, 0)
	require.Equal(t, "done unchanged", f.row(t))
	require.Zero(t, f.poll(t))
}

func TestMessageThatComesDuringTheWorkIsNotLost(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.user(t, "1", "ana@example.org")
	f.send(t, map[string]any{"vomoUserId": "1", "phone": "555-0111"})
	f.set(func() {
		f.posted = func(map[string]any) {
			f.posted = func(map[string]any) {}
			f.send(t, map[string]any{"vomoUserId": "1", "phone": "555-0122"})
		}
	})
	require.Equal(t, round.End{}, f.round(t))
	require.Equal(t, "waiting", f.row(t))
	require.Equal(t, round.End{}, f.round(t))
	require.Equal(t, "555-0122", f.inVomo("1")["phone"])
	require.Equal(t, "done written", f.row(t))
}

func TestMessagesThatCannotBeHandledBecomeSealedLetters(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for i, fields := range []map[string]any{
		{"phone": "555-0199"}, {"vomoUserId": "1"}, {"vomoUserId": "1", "gender": "X"}, {"vomoUserId": "1", "birthday": "2.4.1990"},
		{"vomoUserId": "1", "phone": ""}, {"vomoUserId": "1", "fone": "555-0199"}, {"vomoUserId": "1", "email": "ana"}, {"vomoUserId": "1", "customerId": "globex"},
	} {
		f.send(t, fields)
		require.Equal(t, i+1, value[int](t, f, `SELECT count(*) FROM dead_letters WHERE kind = 'message' AND error_code = 'writeback_invalid'`), fields)
	}
	for _, row := range column[string](t, f, `SELECT d::text FROM dead_letters d`) {
		require.NotContains(t, row, "555-0199")
		require.NotContains(t, row, "2.4.1990")
	}
	require.Equal(t, 0, value[int](t, f, `SELECT count(*) FROM writebacks`))
}

func TestLetterOfAnEmptyPhoneSaysWhatToDo(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.send(t, map[string]any{"vomoUserId": "1", "phone": " ", "lastName": "Ruiz-Gil"})
	require.Equal(t, "phone: is empty, and VOMO documents no way to remove a phone number: remove it in VOMO by hand, "+
		"publish the request's other fields again without it, and discard the letter", value[string](t, f, `SELECT reason FROM dead_letters`))
}

func TestMessageOfACustomerWhoIsNotMirroredLeavesNothing(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.exec(t, `UPDATE sync_configs SET offboarded_at = now(), enabled = false`)
	f.exec(t, `DELETE FROM customer_keys`)

	f.send(t, map[string]any{"vomoUserId": "1", "phone": "555-0199"})

	require.Equal(t, 0, value[int](t, f, `SELECT (SELECT count(*) FROM writebacks) + (SELECT count(*) FROM dead_letters) + (SELECT count(*) FROM customer_keys)`))
}

func TestPausedCustomersRowsWait(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.user(t, "1", "ana@example.org")
	f.exec(t, `UPDATE sync_configs SET paused_at = now()`)
	f.send(t, map[string]any{"vomoUserId": "1", "phone": "555-0199"})
	require.Equal(t, "held, or nothing waits", f.round(t).Reason)
	f.exec(t, `UPDATE sync_configs SET paused_at = NULL`)
	require.Equal(t, round.End{}, f.round(t))
	require.Equal(t, "done written", f.row(t))
}

func TestBusyLaneMakesTheCustomerWait(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.user(t, "1", "ana@example.org")
	f.send(t, map[string]any{"vomoUserId": "1", "phone": "555-0199"})
	lease, err := f.store.TakeLease(t.Context(), customer, "poller-1", time.Minute)
	require.NoError(t, err)
	require.Equal(t, round.HeldLaneTaken, f.round(t).Reason)
	require.NoError(t, lease.Renew(t.Context()))
	require.True(t, lease.Wanted(), "the holder lets go after its page")
	require.NoError(t, lease.Release(t.Context()))
	require.Equal(t, round.End{}, f.round(t))
}

func TestValuesSealedWithADestroyedKeyAreDropped(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.user(t, "1", "ana@example.org")
	f.send(t, map[string]any{"vomoUserId": "1", "phone": "555-0111"})
	f.exec(t, `DELETE FROM customer_keys`) // offboarded, and onboarded again
	sealed, err := f.vault.Seal(t.Context(), customer, store.CredentialVomoToken, []byte("t0ken"))
	require.NoError(t, err)
	f.exec(t, `UPDATE credentials SET sealed = $1`, sealed)

	require.Equal(t, round.End{}, f.round(t))

	require.Equal(t, "done unreadable", f.row(t))
	f.work(t, map[string]any{"vomoUserId": "1", "phone": "555-0122"})
	require.Equal(t, "555-0122", f.inVomo("1")["phone"])
}
