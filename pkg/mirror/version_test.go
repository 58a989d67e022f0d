package mirror_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/mirror"
	"rollcall.dev/pkg/vomo"
)

func TestEditInTheSameSecondIsWritten(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.mustApply(t, user("1"))

	require.Equal(t, 1, f.mustApply(t, user("1", withFirstName("Second"))).Written)
	require.Equal(t, 1, f.mustApply(t, user("1", withFirstName("Third"))).Written)
	require.Equal(t, 1, f.mustApply(t, user("1", withFirstName("Third"))).Skipped, "the next poll reads the record again")

	require.Equal(t, "Third", *f.crm.record("1").FirstName)
	require.Equal(t, []string{"1", "1", "1"}, f.crm.requests())
}

func TestOlderVersionIsSkipped(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.mustApply(t, user("1", withFirstName("New"), updatedAfter(time.Second)))

	outcome := f.mustApply(t, user("1", withFirstName("Old")))

	require.Equal(t, 1, outcome.Skipped)
	require.Equal(t, "New", *f.crm.record("1").FirstName)
	require.Equal(t, []time.Time{noon.Add(time.Second)}, inUTC(queryColumn[time.Time](t, f, `SELECT last_synced_updated_at FROM user_mappings`)))
}

func TestNewestVersionOfADuplicateIDIsWrittenOnce(t *testing.T) {
	t.Parallel()
	newest := user("1", withFirstName("Newest"), updatedAfter(time.Minute))
	older := user("1", withFirstName("Older"))
	for name, order := range map[string][]vomo.User{
		"newest last":  {older, user("2"), newest},
		"newest first": {newest, user("2"), older},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)

			outcome := f.mustApply(t, order...)

			require.Equal(t, mirror.Outcome{Written: 2, Skipped: 1, HighestSeen: new(noon.Add(time.Minute))}, withoutIDs(outcome))
			require.ElementsMatch(t, []string{"1", "2"}, f.crm.requests())
			require.Equal(t, "Newest", *f.crm.record("1").FirstName)
			require.Equal(t, []int64{2}, queryColumn[int64](t, f, `SELECT count(*) FROM sync_audit`))
		})
	}
}

func TestEmailsAreStoredNormalizedAndSentAsVOMOReturnsThem(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	addresses := map[string]*string{"mixed": new(" Ada.B@Example.ORG "), "none": nil, "empty": new(""), "blank": new("  ")}
	var list []vomo.User
	for id, address := range addresses {
		list = append(list, user(id, func(u *vomo.User) { u.Email = address }))
	}

	f.mustApply(t, list...)

	for id, address := range addresses {
		require.Equal(t, address, f.crm.record(id).Email, id)
	}
	require.Equal(t, []*string{nil, nil, new("ada.b@example.org"), nil}, queryColumn[*string](t, f,
		`SELECT last_known_email FROM user_mappings ORDER BY vomo_user_id`), "blank, empty, mixed, none")
}

func TestRemovedAddressIsDeletedFromTheMapping(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.mustApply(t, user("1"))

	f.mustApply(t, user("1", updatedAfter(time.Second), func(u *vomo.User) { u.Email = nil }))

	require.Equal(t, []*string{nil}, queryColumn[*string](t, f, `SELECT last_known_email FROM user_mappings`))
	require.Nil(t, f.crm.record("1").Email)
}

func TestStaleAnswerCountsAsWritten(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.crm.respond(http.StatusConflict, `{"code":"stale"}`, "1")

	require.Equal(t, 2, f.mustApply(t, users(2)...).Written)

	require.Empty(t, f.letters(t))
	require.Equal(t, []string{"1", "2"}, queryColumn[string](t, f, `SELECT vomo_user_id FROM user_mappings ORDER BY 1`))
	require.Equal(t, 2, f.mustApply(t, users(2)...).Skipped)
}

func TestOtherConflictRejectsTheRecord(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.crm.respond(http.StatusConflict, `{"code":"duplicate_email"}`, "1")

	require.Equal(t, 1, f.mustApply(t, users(2)...).Failed)

	require.Equal(t, []letter{{Record: "1", State: "review", Class: "permanent", Code: "duplicate_email", UpdatedAt: noon}}, f.letters(t))
}

func TestEqualRecordsOfTwoCustomersHaveDifferentHashes(t *testing.T) {
	t.Parallel()
	record := mirror.RecordOf(user("1"))

	ours, err := mirror.VersionOf([]byte("our key"), record)
	require.NoError(t, err)
	again, err := mirror.VersionOf([]byte("our key"), record)
	require.NoError(t, err)
	theirs, err := mirror.VersionOf([]byte("their key"), record)
	require.NoError(t, err)

	require.Equal(t, ours, again)
	require.NotEqual(t, ours.Hash, theirs.Hash)
}

func inUTC(times []time.Time) []time.Time {
	for i := range times {
		times[i] = times[i].UTC()
	}
	return times
}

// undated makes a user one that VOMO returned without updated_at.
func undated(u *vomo.User) { u.UpdatedAt, u.Undated = u.CreatedAt, true }

func TestEditWithoutATimeIsWritten(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.mustApply(t, user("1"), user("2", undated))

	outcome := f.mustApply(t, user("1", undated, withFirstName("Rosa")), user("2", undated, withFirstName("Mei")))
	require.Equal(t, 2, outcome.Written)
	require.Equal(t, "Rosa", *f.crm.record("1").FirstName)
	require.Equal(t, "Mei", *f.crm.record("2").FirstName)
	require.Equal(t, noon, f.mappedTimes(t)[0], "the stored time does not go back")

	f.crm.forgetRequests()
	outcome = f.mustApply(t, user("1", undated, withFirstName("Rosa")), user("2", undated, withFirstName("Mei")))
	require.Equal(t, 2, outcome.Skipped)
	require.Empty(t, f.crm.requests())

	outcome = f.mustApply(t, user("1", updatedAfter(time.Minute), withFirstName("Ana")))
	require.Equal(t, 1, outcome.Written, "once VOMO returns a time again, it counts")
	outcome = f.mustApply(t, user("1", withFirstName("Rosa")))
	require.Equal(t, 1, outcome.Skipped, "an older version with a time is still skipped")
}
