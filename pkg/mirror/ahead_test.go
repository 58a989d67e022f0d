package mirror_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/mirror"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/vomo"
)

// shown applies users as VOMO shows them when its clock says date.
func (h *house) shown(t testing.TB, date time.Time, users ...vomo.User) mirror.Outcome {
	t.Helper()
	shown := page(1, users...)
	shown.Date = date
	outcome, err := h.apply(t, shown, mirror.ApplyOptions{})
	require.NoError(t, err)
	return outcome
}

// now is the database's clock, by which VOMO's goes in these tests unless they say otherwise.
func (h *house) now(t testing.TB) time.Time {
	t.Helper()
	now, err := h.Store.Now(t.Context())
	require.NoError(t, err)
	return now.UTC().Truncate(time.Second)
}

func at(updated time.Time) func(*vomo.User) { return func(u *vomo.User) { u.UpdatedAt = updated } }

func (h *house) storedAt(t testing.TB) []time.Time {
	t.Helper()
	return inUTC(values[time.Time](t, h, `SELECT last_synced_updated_at FROM user_mappings ORDER BY vomo_user_id`))
}

// keepsNewest has the CRM answer stale to an earlier source_updated_at than the one it has.
func (c *crm) keepsNewest() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stale = true
}

func TestATimeFarAheadOfVOMOsClockIsStoredAsThatClockAndSkippedWhenItComesAgain(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	date := h.now(t)

	outcome := h.shown(t, date, user("1", at(date.Add(5*time.Minute+time.Second))), user("2", at(date.Add(5*time.Minute))))

	require.Equal(t, []time.Time{date, date.Add(5 * time.Minute)}, h.storedAt(t))
	require.Equal(t, date.Add(5*time.Minute), *outcome.HighestSeen, "no further ahead than is taken for true")
	again := h.shown(t, date.Add(time.Minute), user("1", at(date.Add(5*time.Minute+time.Second))))
	require.Equal(t, 1, again.Skipped)

	outcome = h.shown(t, time.Time{}, user("3", at(h.now(t).AddDate(70, 0, 0))))
	require.WithinDuration(t, h.now(t), *outcome.HighestSeen, time.Minute, "an answer without a Date: the database's clock")
	require.WithinDuration(t, h.now(t), outcome.Date, time.Minute)
}

func TestEditsAfterOneThatWasStampedAheadArrive(t *testing.T) {
	t.Parallel()
	for name, before := range map[string]func(h *house, date time.Time){
		"the stamps alone were ahead": func(h *house, date time.Time) { h.shown(t, date, user("1", at(date.Add(3*time.Hour)))) },
		"VOMO's clock was ahead": func(h *house, date time.Time) {
			h.shown(t, date.Add(3*time.Hour), user("1", at(date.Add(3*time.Hour))))
		},
		"stamped for a hundred years":  func(h *house, date time.Time) { h.shown(t, date, user("1", at(date.AddDate(100, 0, 0)))) },
		"stored by an earlier version": func(h *house, date time.Time) { h.storedAhead(t, date.Add(3*time.Hour)) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			h.crm.keepsNewest()
			date := h.now(t)
			before(h, date)

			for i, first := range []string{"Second", "Third"} {
				edited := date.Add(time.Duration(i+1) * time.Minute)
				require.Equal(t, 1, h.shown(t, edited, user("1", named(first), at(edited))).Written)
				require.Equal(t, first, *h.crm.record("1").FirstName, "what it got ahead of time does not make it call this one stale")
				require.Equal(t, []time.Time{edited}, h.storedAt(t))
				require.Equal(t, 1, h.shown(t, edited, user("1", named("A replica's"), at(date))).Skipped)
			}
		})
	}
}

// storedAhead has user 1 as the version before this one left it: mapping and destination have the time that VOMO showed.
func (h *house) storedAhead(t testing.TB, updated time.Time) {
	t.Helper()
	h.shown(t, updated, user("1", at(updated)))
	require.Equal(t, []time.Time{updated}, h.storedAt(t))
	require.Empty(t, values[time.Time](t, h, `SELECT sent_updated_at FROM user_mappings WHERE sent_updated_at IS NOT NULL`))
}

func TestAnEditIsFoundAlthoughTheTimeAheadHasPassedBeforeThePoll(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	began := h.now(t)
	h.shown(t, began.Add(20*time.Minute), user("1", at(began.Add(20*time.Minute)))) // VOMO's clock was 20 minutes ahead

	// It is set right, the user is edited a minute later, and the next poll is half an hour after.
	_, err := h.pool.Exec(t.Context(), `UPDATE user_mappings SET last_synced_at = last_synced_at - interval '31 minutes',
		last_synced_updated_at = last_synced_updated_at - interval '31 minutes'`)
	require.NoError(t, err)
	outcome := h.shown(t, h.now(t), user("1", named("Edited"), at(began.Add(-30*time.Minute))))

	require.Equal(t, 1, outcome.Written)
}

func TestAnOlderAnswerLosesWhileVOMOsClockStaysAhead(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	date := h.now(t).Add(3 * time.Hour)
	h.shown(t, date, user("1", named("New"), at(date)))

	require.Equal(t, 1, h.shown(t, date.Add(time.Minute), user("1", named("A replica's"), at(date.Add(-time.Minute)))).Skipped)
}

func TestALetterOfATimeAheadIsSupersededByAnEdit(t *testing.T) {
	t.Parallel()
	for name, clock := range map[string]time.Duration{"the stamps alone were ahead": 0, "VOMO's clock was ahead": 3 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			date := h.now(t)
			h.crm.says(http.StatusUnprocessableEntity, `{"code":"email_invalid"}`, "1")
			h.shown(t, date.Add(clock), user("1", at(date.Add(3*time.Hour))), user("2"))
			require.Equal(t, date.Add(clock), h.letters(t)[0].UpdatedAt)
			require.Equal(t, 1, h.shown(t, date.Add(clock+time.Minute), user("1", at(date.Add(3*time.Hour)))).Skipped, "the letter's own version")
			h.crm.works()

			edited := date.Add(time.Minute)
			require.Equal(t, 1, h.shown(t, edited, user("1", named("Edited"), at(edited))).Written)
			require.Equal(t, "settled", h.letters(t)[0].State)
		})
	}
}

func TestARedriveTakesAnEditAfterATimeAheadForNoStaleRead(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	date := h.now(t)
	h.crm.says(http.StatusServiceUnavailable, "", "1")
	h.shown(t, date.Add(3*time.Hour), append(users(6)[1:], user("1", at(date.Add(3*time.Hour))))...)
	h.crm.works()
	h.RetryCaps = store.RetryCaps{Attempts: 12, Age: 24 * time.Hour}

	redriven := page(1, user("1", named("Edited"), at(date)))
	redriven.Date = date
	outcome, err := h.apply(t, redriven, mirror.ApplyOptions{Redrive: true})

	require.NoError(t, err)
	require.Equal(t, 1, outcome.Written)
	require.Equal(t, "Edited", *h.crm.record("1").FirstName)
}

func TestANewSystemGetsTheTimeThatVOMOShows(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	date := h.now(t)
	h.shown(t, date.Add(3*time.Hour), user("1", at(date.Add(3*time.Hour))))
	options := h.rewriting(t)
	options.NewSystem, options.AsShown = true, true

	shown := page(1, user("1", named("Edited"), at(date)))
	shown.Date = date
	outcome, err := h.apply(t, shown, options)

	require.NoError(t, err)
	require.Equal(t, 1, outcome.Written)
	require.Equal(t, date, h.crm.record("1").SourceUpdatedAt.UTC())
}
