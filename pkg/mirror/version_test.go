package mirror_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/mirror"
	"rollcall.dev/pkg/vomo"
)

func TestAnotherContentInTheSameSecondIsWritten(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.applied(t, user("1"))

	require.Equal(t, 1, h.applied(t, user("1", named("Second"))).Written)
	require.Equal(t, 1, h.applied(t, user("1", named("Third"))).Written)
	require.Equal(t, 1, h.applied(t, user("1", named("Third"))).Skipped, "the boundary record comes back")

	require.Equal(t, "Third", *h.crm.record("1").FirstName)
	require.Equal(t, []string{"1", "1", "1"}, h.crm.saw())
}

func TestAnOlderVersionIsSkipped(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.applied(t, user("1", named("New"), after(time.Second)))

	outcome := h.applied(t, user("1", named("Old")))

	require.Equal(t, 1, outcome.Skipped)
	require.Equal(t, "New", *h.crm.record("1").FirstName)
	require.Equal(t, []time.Time{noon.Add(time.Second)}, inUTC(values[time.Time](t, h, `SELECT last_synced_updated_at FROM user_mappings`)))
}

func TestOfAnIDThatComesTwiceTheNewestIsWrittenOnce(t *testing.T) {
	t.Parallel()
	newest := user("1", named("Newest"), after(time.Minute))
	older := user("1", named("Older"))
	for name, order := range map[string][]vomo.User{
		"newest last":  {older, user("2"), newest},
		"newest first": {newest, user("2"), older},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)

			outcome := h.applied(t, order...)

			require.Equal(t, mirror.Outcome{Written: 2, Skipped: 1, HighestSeen: new(noon.Add(time.Minute))}, counted(outcome))
			require.ElementsMatch(t, []string{"1", "2"}, h.crm.saw())
			require.Equal(t, "Newest", *h.crm.record("1").FirstName)
			require.Equal(t, []int64{2}, values[int64](t, h, `SELECT count(*) FROM sync_audit`))
		})
	}
}

func TestEmailsAreKeptInOneFormAndSentAsVOMOHasThem(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	addresses := map[string]*string{"mixed": new(" Ada.B@Example.ORG "), "none": nil, "empty": new(""), "blank": new("  ")}
	var list []vomo.User
	for id, address := range addresses {
		list = append(list, user(id, func(u *vomo.User) { u.Email = address }))
	}

	h.applied(t, list...)

	for id, address := range addresses {
		require.Equal(t, address, h.crm.record(id).Email, id)
	}
	require.Equal(t, []*string{nil, nil, new("ada.b@example.org"), nil}, values[*string](t, h,
		`SELECT last_known_email FROM user_mappings ORDER BY vomo_user_id`), "blank, empty, mixed, none")
}

func TestAnAddressThatIsTakenAwayIsForgotten(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.applied(t, user("1"))

	h.applied(t, user("1", after(time.Second), func(u *vomo.User) { u.Email = nil }))

	require.Equal(t, []*string{nil}, values[*string](t, h, `SELECT last_known_email FROM user_mappings`))
	require.Nil(t, h.crm.record("1").Email)
}

func TestADestinationThatHasANewerVersionCountsAsDone(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.crm.says(http.StatusConflict, `{"code":"stale"}`, "1")

	require.Equal(t, 2, h.applied(t, users(2)...).Written)

	require.Empty(t, h.letters(t))
	require.Equal(t, []string{"1", "2"}, values[string](t, h, `SELECT vomo_user_id FROM user_mappings ORDER BY 1`))
	require.Equal(t, 2, h.applied(t, users(2)...).Skipped)
}

func TestAnotherConflictIsARefusal(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.crm.says(http.StatusConflict, `{"code":"duplicate_email"}`, "1")

	require.Equal(t, 1, h.applied(t, users(2)...).Failed)

	require.Equal(t, []letter{{Record: "1", State: "review", Class: "permanent", Code: "duplicate_email", UpdatedAt: noon}}, h.letters(t))
}

func TestEqualRecordsOfTwoCustomersHashDifferently(t *testing.T) {
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
