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

// applyAt applies users as VOMO returns them when its clock says date.
func (f *fixture) applyAt(t testing.TB, date time.Time, users ...vomo.User) mirror.Outcome {
	t.Helper()
	read := page(1, users...)
	read.Date = date
	outcome, err := f.apply(t, read, mirror.ApplyOptions{})
	require.NoError(t, err)
	return outcome
}

// now returns the database's time. VOMO's clock shows the same unless a test says otherwise.
func (f *fixture) now(t testing.TB) time.Time {
	t.Helper()
	now, err := f.Store.Now(t.Context())
	require.NoError(t, err)
	return now.UTC().Truncate(time.Second)
}

func updatedAt(updated time.Time) func(*vomo.User) {
	return func(u *vomo.User) { u.UpdatedAt = updated }
}

func (f *fixture) mappedTimes(t testing.TB) []time.Time {
	t.Helper()
	return inUTC(queryColumn[time.Time](t, f, `SELECT last_synced_updated_at FROM user_mappings ORDER BY vomo_user_id`))
}

// rejectStale makes the CRM answer "stale" if a record's source_updated_at is before the stored one.
func (c *crm) rejectStale() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.rejectsStale = true
}

func TestTimeFarAheadOfVOMOsClockIsStoredAsVOMOsTimeAndSkippedNextTime(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	date := f.now(t)

	outcome := f.applyAt(t, date, user("1", updatedAt(date.Add(5*time.Minute+time.Second))), user("2", updatedAt(date.Add(5*time.Minute))))

	require.Equal(t, []time.Time{date, date.Add(5 * time.Minute)}, f.mappedTimes(t))
	require.Equal(t, date.Add(5*time.Minute), *outcome.HighestSeen, "at most 5 min ahead of VOMO's clock")
	next := f.applyAt(t, date.Add(time.Minute), user("1", updatedAt(date.Add(5*time.Minute+time.Second))))
	require.Equal(t, 1, next.Skipped)

	outcome = f.applyAt(t, time.Time{}, user("3", updatedAt(f.now(t).AddDate(70, 0, 0))))
	require.WithinDuration(t, f.now(t), *outcome.HighestSeen, time.Minute, "without a Date, the database's clock counts")
	require.WithinDuration(t, f.now(t), outcome.Date, time.Minute)
}

func TestEditsAfterAFutureTimeAreWritten(t *testing.T) {
	t.Parallel()
	for name, before := range map[string]func(f *fixture, date time.Time){
		"only the edit time was ahead": func(f *fixture, date time.Time) { f.applyAt(t, date, user("1", updatedAt(date.Add(3*time.Hour)))) },
		"VOMO's clock was ahead": func(f *fixture, date time.Time) {
			f.applyAt(t, date.Add(3*time.Hour), user("1", updatedAt(date.Add(3*time.Hour))))
		},
		"a hundred years ahead":      func(f *fixture, date time.Time) { f.applyAt(t, date, user("1", updatedAt(date.AddDate(100, 0, 0)))) },
		"stored by an older release": func(f *fixture, date time.Time) { f.storeFutureTime(t, date.Add(3*time.Hour)) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			f.crm.rejectStale()
			date := f.now(t)
			before(f, date)

			for i, first := range []string{"Second", "Third"} {
				edited := date.Add(time.Duration(i+1) * time.Minute)
				require.Equal(t, 1, f.applyAt(t, edited, user("1", withFirstName(first), updatedAt(edited))).Written)
				require.Equal(t, first, *f.crm.record("1").FirstName, "the future time sent before does not make this record stale")
				require.Equal(t, []time.Time{edited}, f.mappedTimes(t))
				require.Equal(t, 1, f.applyAt(t, edited, user("1", withFirstName("From a stale replica"), updatedAt(date))).Skipped)
			}
		})
	}
}

// storeFutureTime stores user 1 as an older release did: the mapping and the destination have the time that VOMO returned.
func (f *fixture) storeFutureTime(t testing.TB, updated time.Time) {
	t.Helper()
	f.applyAt(t, updated, user("1", updatedAt(updated)))
	require.Equal(t, []time.Time{updated}, f.mappedTimes(t))
	require.Empty(t, queryColumn[time.Time](t, f, `SELECT sent_updated_at FROM user_mappings WHERE sent_updated_at IS NOT NULL`))
}

func TestEditIsWrittenAlthoughTheFutureTimeHasPassedBeforeThePoll(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	began := f.now(t)
	f.applyAt(t, began.Add(20*time.Minute), user("1", updatedAt(began.Add(20*time.Minute)))) // VOMO's clock was 20 minutes ahead

	// VOMO's clock is corrected, the user is edited a minute later, and the next poll comes half an hour after that.
	_, err := f.pool.Exec(t.Context(), `UPDATE user_mappings SET last_synced_at = last_synced_at - interval '31 minutes',
		last_synced_updated_at = last_synced_updated_at - interval '31 minutes'`)
	require.NoError(t, err)
	outcome := f.applyAt(t, f.now(t), user("1", withFirstName("Edited"), updatedAt(began.Add(-30*time.Minute))))

	require.Equal(t, 1, outcome.Written)
}

func TestOlderVersionIsSkippedWhileVOMOsClockStaysAhead(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	date := f.now(t).Add(3 * time.Hour)
	f.applyAt(t, date, user("1", withFirstName("New"), updatedAt(date)))

	require.Equal(t, 1, f.applyAt(t, date.Add(time.Minute), user("1", withFirstName("From a stale replica"), updatedAt(date.Add(-time.Minute)))).Skipped)
}

func TestEditSupersedesALetterWithAFutureTime(t *testing.T) {
	t.Parallel()
	for name, clock := range map[string]time.Duration{"only the edit time was ahead": 0, "VOMO's clock was ahead": 3 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			date := f.now(t)
			f.crm.respond(http.StatusUnprocessableEntity, `{"code":"email_invalid"}`, "1")
			f.applyAt(t, date.Add(clock), user("1", updatedAt(date.Add(3*time.Hour))), user("2"))
			require.Equal(t, date.Add(clock), f.letters(t)[0].UpdatedAt)
			require.Equal(t, 1, f.applyAt(t, date.Add(clock+time.Minute), user("1", updatedAt(date.Add(3*time.Hour)))).Skipped, "the letter's own version")
			f.crm.acceptAll()

			edited := date.Add(time.Minute)
			require.Equal(t, 1, f.applyAt(t, edited, user("1", withFirstName("Edited"), updatedAt(edited))).Written)
			require.Equal(t, "settled", f.letters(t)[0].State)
		})
	}
}

func TestRedriveOfAnEditAfterAFutureTimeIsNotAStaleRead(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	date := f.now(t)
	f.crm.respond(http.StatusServiceUnavailable, "", "1")
	f.applyAt(t, date.Add(3*time.Hour), append(users(6)[1:], user("1", updatedAt(date.Add(3*time.Hour))))...)
	f.crm.acceptAll()
	f.RetryCaps = store.RetryCaps{Attempts: 12, Age: 24 * time.Hour}

	redriven := page(1, user("1", withFirstName("Edited"), updatedAt(date)))
	redriven.Date = date
	outcome, err := f.apply(t, redriven, mirror.ApplyOptions{Redrive: true})

	require.NoError(t, err)
	require.Equal(t, 1, outcome.Written)
	require.Equal(t, "Edited", *f.crm.record("1").FirstName)
}

func TestNewSystemGetsTheTimeThatVOMOReturns(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	date := f.now(t)
	f.applyAt(t, date.Add(3*time.Hour), user("1", updatedAt(date.Add(3*time.Hour))))
	options := f.rewriteOptions(t)
	options.NewSystem, options.AllowOlder = true, true

	read := page(1, user("1", withFirstName("Edited"), updatedAt(date)))
	read.Date = date
	outcome, err := f.apply(t, read, options)

	require.NoError(t, err)
	require.Equal(t, 1, outcome.Written)
	require.Equal(t, date, f.crm.record("1").SourceUpdatedAt.UTC())
}
