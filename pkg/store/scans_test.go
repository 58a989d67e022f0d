package store_test

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/store"
)

func seenUsers(from, to int, created func(i int) time.Time) []store.SeenUser {
	users := make([]store.SeenUser, 0, to-from)
	for i := from; i < to; i++ {
		users = append(users, store.SeenUser{ID: strconv.Itoa(i), CreatedAt: created(i)})
	}
	return users
}

func hourly(i int) time.Time {
	return time.Unix(1_700_000_000, 0).UTC().Add(time.Duration(i) * time.Hour)
}

func never(int) time.Time { return time.Time{} }

func (f *fixture) note(t *testing.T, scan int64, pass int, users []store.SeenUser) (fresh int64) {
	t.Helper()
	ids := make([]string, 0, len(users))
	for _, user := range users {
		ids = append(ids, user.ID)
	}
	known, err := f.StoredVersions(t.Context(), store.VersionsAsked{Customer: "acme", Scan: scan, IDs: ids})
	require.NoError(t, err)
	f.do(t, func(ctx context.Context, tx *store.Tx) error { return tx.NoteSeen(ctx, scan, pass, users) })
	return int64(len(users) - len(known.Seen))
}

// What a page reads of a user is a row of two tables; each user may be in both, in one, or in neither.
func TestPageReadsWhatIsMappedAndWhatIsSeenOfEachUser(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	mapped := func(id string) store.Mapping {
		return store.Mapping{
			VomoID: id, ExternalID: "crm-" + id, Email: id + "@example.org", Version: version(100, id), Digests: []byte{1},
			SentAt: version(200, id).UpdatedAt,
		}
	}
	f.do(t, func(ctx context.Context, tx *store.Tx) error {
		return tx.SaveMappings(ctx, "acme", []store.Mapping{mapped("both"), mapped("mapped"), mapped("not asked about")})
	})
	f.do(t, func(ctx context.Context, tx *store.Tx) error {
		return tx.NoteSeen(ctx, 7, 0, []store.SeenUser{{ID: "both"}, {ID: "seen"}, {ID: "not asked about"}})
	})
	read := func(scan int64, ids ...string) store.StoredVersions {
		known, err := f.StoredVersions(t.Context(), store.VersionsAsked{Customer: "acme", Scan: scan, IDs: ids})
		require.NoError(t, err)
		require.WithinDuration(t, value[time.Time](t, f, `SELECT rollcall_now()`), known.Now, time.Minute)
		return known
	}

	known := read(7, "both", "mapped", "seen", "neither")

	require.Equal(t, map[string]bool{"both": true, "seen": true}, known.Seen)
	for id, mapping := range known.Mappings {
		want := mapped(id)
		want.SyncedAt = mapping.SyncedAt
		require.WithinDuration(t, known.Now, mapping.SyncedAt, time.Minute)
		mapping.Version.UpdatedAt, mapping.SentAt = mapping.Version.UpdatedAt.UTC(), mapping.SentAt.UTC()
		want.Version.UpdatedAt, want.SentAt = want.Version.UpdatedAt.UTC(), want.SentAt.UTC()
		require.Equal(t, want, mapping)
	}
	require.ElementsMatch(t, []string{"both", "mapped"}, slices.Collect(maps.Keys(known.Mappings)))
	require.Empty(t, read(8, "both", "seen").Seen, "another scan has seen none of them")
	require.Len(t, read(0, "both", "mapped", "seen").Mappings, 2, "without a scan")
	require.Empty(t, read(7, "neither").Mappings, "nothing is known but the time")
	require.Empty(t, read(7).Mappings)
}

func TestAScanMeetsEachIdOnce(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	require.Equal(t, int64(15), f.note(t, 1, 0, seenUsers(0, 15, hourly)))
	require.Equal(t, int64(5), f.note(t, 1, 0, seenUsers(5, 20, hourly)), "ten were met before")
	require.Equal(t, int64(3), f.note(t, 1, 0, seenUsers(20, 23, never)))
	require.Equal(t, int64(15), f.note(t, 2, 0, seenUsers(0, 15, hourly)), "another scan is another matter")
	require.Zero(t, f.note(t, 1, 0, nil))

	count, err := f.CountSeen(t.Context(), 1)
	require.NoError(t, err)
	require.Equal(t, int64(23), count)
	for _, window := range []struct {
		from, to *time.Time
		want     int64
	}{
		{nil, nil, 20}, // those without a time are in no window
		{nil, new(hourly(3)), 3},
		{new(hourly(3)), nil, 17},
		{new(hourly(3)), new(hourly(5)), 2},
	} {
		count, err := f.CountSeenBetween(t.Context(), 1, window.from, window.to)
		require.NoError(t, err)
		require.Equal(t, window.want, count)
	}
}

func TestReadingCountsTheUsersItSaw(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.note(t, 1, 0, seenUsers(0, 15, hourly))
	require.Equal(t, int64(1), f.note(t, 1, 1, seenUsers(10, 16, hourly)))
	for pass, want := range []int64{10, 6, 0} {
		count, err := f.CountSeenIn(t.Context(), 1, pass)
		require.NoError(t, err)
		require.Equal(t, want, count)
	}
}

func TestTheSetIsCutWhereSoManyWereSeen(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.note(t, 1, 0, seenUsers(0, 10, hourly))
	f.note(t, 1, 0, seenUsers(10, 12, never))
	f.note(t, 2, 0, seenUsers(0, 30, hourly)) // another scan's
	for _, cut := range []struct {
		from *time.Time
		skip int
		want *time.Time
	}{
		{nil, 0, new(hourly(0))},
		{nil, 9, new(hourly(9))},
		{nil, 10, nil},
		{new(hourly(4).Add(time.Second)), 2, new(hourly(7))},
	} {
		at, err := f.NthCreated(t.Context(), 1, cut.from, cut.skip)
		require.NoError(t, err)
		require.Equal(t, cut.want == nil, at == nil)
		require.True(t, at == nil || at.Equal(*cut.want))
	}
}

func TestOnlyFinishedScansAreForgotten(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	open, _ := f.claimed(t, "open")
	finished, lease := f.claimed(t, "finished")
	f.do(t, func(ctx context.Context, tx *store.Tx) error {
		return tx.FinishRun(ctx, finished, lease.Epoch, store.RunCompleted, "")
	})
	f.note(t, open.JobID, 0, seenUsers(0, 5, hourly))
	f.note(t, finished.JobID, 0, seenUsers(0, 1_001, hourly))

	more, err := f.ForgetFinishedScans(t.Context(), time.Hour)
	require.NoError(t, err)
	require.False(t, more, "it has just ended")
	more, err = f.ForgetFinishedScans(t.Context(), 0)
	require.NoError(t, err)
	require.True(t, more, "a batch at a time")
	more, err = f.ForgetFinishedScans(t.Context(), 0)
	require.NoError(t, err)
	require.False(t, more)

	require.Equal(t, []int{5, 0}, []int{
		value[int](t, f, `SELECT count(*) FROM scan_seen WHERE scan_id = $1`, open.JobID),
		value[int](t, f, `SELECT count(*) FROM scan_seen WHERE scan_id = $1`, finished.JobID),
	})
}

func TestACursorComesBackAsItWas(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	run, lease := f.claimed(t, "acme")
	cursor := store.Cursor{
		Phase: store.PhaseWindows, NextPage: 3, LastTotal: new(int64(900)), FurthestPage: 60, StepsBack: 2, RereadPages: 11, StalePages: 3, UnresolvedFall: true,
		WindowFrom: new(hourly(1)), WindowTo: new(hourly(9)), WindowUnit: store.UnitDay, WindowReading: true,
		WindowTotal: new(int64(40)), WindowTries: 1, Unsettled: 1, Pass: 4,
	}
	f.do(t, func(ctx context.Context, tx *store.Tx) error {
		return tx.AdvanceRun(ctx, run.ID, lease.Epoch, store.Advance{Cursor: cursor, Recovered: 7})
	})
	back := f.run(t, run.ID).Cursor
	for _, at := range []*time.Time{back.WindowFrom, back.WindowTo} {
		*at = at.UTC()
	}
	require.Equal(t, cursor, back)
	require.Equal(t, int64(7), f.run(t, run.ID).Recovered)
	require.Nil(t, f.run(t, run.ID).Verified)
}
