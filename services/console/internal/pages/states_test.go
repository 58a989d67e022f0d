package pages

import (
	"context"
	"html"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/event"
	"rollcall.dev/pkg/report"
	"rollcall.dev/pkg/store"
)

// movable gives the database a clock that the test moves.
func (f *fixture) movable() (advance func(interval string)) {
	f.t.Helper()
	f.exec(`CREATE TABLE test_clock AS SELECT timestamptz '2026-03-02T09:30:00Z' AS now`)
	f.exec(`CREATE OR REPLACE FUNCTION rollcall_now() RETURNS timestamptz LANGUAGE sql STABLE AS 'SELECT now FROM test_clock'`)
	return func(interval string) {
		f.t.Helper()
		f.exec(`UPDATE test_clock SET now = now + $1::text::interval`, interval)
	}
}

// poll ends a poll of the customer that found nothing.
func (f *fixture) poll(customer string) {
	f.t.Helper()
	f.in(func(ctx context.Context, tx *store.Tx) error {
		id, err := tx.StartJob(ctx, customer, store.JobPoll, "00-trace-01")
		if err != nil {
			return err
		}
		now, err := tx.Now(ctx)
		if err != nil {
			return err
		}
		if err := tx.MarkPolled(ctx, customer, now); err != nil {
			return err
		}
		return tx.FinishJob(ctx, id, 0, 0, "")
	})
}

// shownState is the state in which the customer's page and the list of customers show a customer; they must agree.
func (f *fixture) shownState(customer string) (word, page string) {
	f.t.Helper()
	_, body := f.get("/customers/" + customer)
	page = mainOf(body)
	f.board.Forget()
	_, body = f.get("/customers?state=all")
	list := mainOf(body)
	for _, one := range []state{needsYou(), paused(), starting(), healthy(), offboarded()} {
		badge := `<span class="badge ` + one.Code + `"><span aria-hidden="true">` + one.Shape + `</span> ` + one.Word + `</span>`
		if strings.Contains(page, `<section class="card verdict `+one.Code+`"`) {
			word = one.Word
			require.Contains(f.t, page, badge)
			require.Contains(f.t, list, badge, "the list says the same")
		}
	}
	return word, page
}

// A customer without changes is healthy.
func TestQuietCustomerIsHealthyAfterTwoDaysOfPolls(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	advance := f.movable()
	f.onboard("acme")
	for range 48 { // an hour is the longest that is not late
		advance("1 hour")
		f.poll("acme")
	}
	word, page := f.shownState("acme")
	require.Equal(t, "Healthy", word)
	require.Contains(t, page, "The mirror is complete")
	require.NotContains(t, page, "What helps")
	advance("29 minutes")
	word, _ = f.shownState("acme")
	require.Equal(t, "Healthy", word, "the next poll is still to come")
}

func TestWedgedPollerIsShownWithinTwoCadences(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	advance := f.movable()
	f.onboard("acme")
	f.poll("acme")
	word, _ := f.shownState("acme")
	require.Equal(t, "Healthy", word)

	advance("60 minutes")
	word, _ = f.shownState("acme")
	require.Equal(t, "Healthy", word, "a poll may be late by one cadence")

	advance("1 second")

	word, page := f.shownState("acme")
	require.Equal(t, "Needs you", word)
	require.Contains(t, page, "<code>poll_stalled</code>")
	require.Contains(t, page, "rollcall poll now acme")
	f.poll("acme")
	word, _ = f.shownState("acme")
	require.Equal(t, "Healthy", word)
}

// Each reason has its words, its remedy and an act or a command on the page, and a line in the runbook.
func TestEachReasonHasWordsRemedyAndALineInTheRunbook(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	advance := f.movable()
	f.onboard("acme")
	for _, code := range event.AlertTypes() {
		f.raise("acme", code)
	}
	f.exec(`INSERT INTO user_mappings (customer_id, vomo_user_id, external_user_id, last_synced_updated_at, version_hash, last_synced_at)
		SELECT 'acme', n::text, 'one', now(), '', now() FROM generate_series(1, 2) n`)
	f.exec(`INSERT INTO shared_contacts VALUES ('acme', '1', '2', now())`) // contact_shared is shown only while two users share an id
	advance("2 hours")                                                     // poll_stalled is shown only while it holds
	runbook, err := os.ReadFile("../../../../docs/operating.md")
	require.NoError(t, err)
	status, err := report.StatusUnder(t.Context(), f.Store, "acme", f.installation())
	require.NoError(t, err)
	codes := map[string]bool{}
	for _, reason := range status.Health.Reasons {
		codes[reason.Code] = true
	}
	for _, code := range event.AlertTypes() {
		require.True(t, codes[code], code)
	}
	_, page := f.shownState("acme")
	page = html.UnescapeString(page)
	for _, reason := range status.Health.Reasons {
		require.Contains(t, page, reason.Text, reason.Code)
		require.NotEmpty(t, reason.Remedy, reason.Code)
		require.Contains(t, page, reason.Remedy, reason.Code)
		require.Contains(t, page, "<code>"+reason.Code+"</code>")
		require.Contains(t, page, remedyFor(reason.Code, "acme").Command, reason.Code)
		require.Contains(t, string(runbook), "`"+reason.Code+"`")
	}
}
