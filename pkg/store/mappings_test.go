package store_test

import (
	"context"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/store"
)

// users is a page of mappings; every third has no email.
func users(n int, of store.Version) []store.Mapping {
	page := make([]store.Mapping, n)
	for i := range page {
		page[i] = store.Mapping{VomoID: strconv.Itoa(i + 1), ExternalID: fmt.Sprintf("ext-%d", i+1), Version: of}
		if i%3 != 0 {
			page[i].Email = fmt.Sprintf("person%d@example.org", i+1)
		}
	}
	return page
}

func (b *bed) saveMappings(t testing.TB, customer string, page []store.Mapping) {
	t.Helper()
	b.do(t, func(ctx context.Context, tx *store.Tx) error { return tx.SaveMappings(ctx, customer, page) })
}

func (b *bed) versions(t testing.TB, customer string, ids ...string) map[string]store.Version {
	t.Helper()
	versions, err := b.MappedVersions(t.Context(), customer, ids)
	require.NoError(t, err)
	for id, v := range versions {
		versions[id] = store.Version{UpdatedAt: v.UpdatedAt.Local(), Hash: v.Hash}
	}
	return versions
}

func TestAPageOfMappingsIsSavedWithItsNullEmails(t *testing.T) {
	t.Parallel()
	b := newBed(t)

	b.saveMappings(t, "acme", users(15, version(100, "a")))

	count, err := b.CountMappings(t.Context(), "acme")
	require.NoError(t, err)
	require.Equal(t, int64(15), count)
	require.Equal(t, 5, value[int](t, b, `SELECT count(*) FROM user_mappings WHERE last_known_email IS NULL`))
	require.Equal(t, "ext-2 person2@example.org", value[string](t, b,
		`SELECT external_user_id || ' ' || last_known_email FROM user_mappings WHERE vomo_user_id = '2'`))
	require.Equal(t, map[string]store.Version{"1": version(100, "a"), "15": version(100, "a")}, b.versions(t, "acme", "1", "15", "16"))
	require.Empty(t, b.versions(t, "globex", "1"), "another customer's")
}

func TestAnOlderVersionNeverReplacesANewer(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	b.saveMappings(t, "acme", users(2, version(200, "new")))

	b.saveMappings(t, "acme", append(users(2, version(199, "old")), store.Mapping{VomoID: "3", ExternalID: "ext-3", Version: version(199, "old")}))

	require.Equal(t, map[string]store.Version{"1": version(200, "new"), "2": version(200, "new"), "3": version(199, "old")},
		b.versions(t, "acme", "1", "2", "3"), "the rest of the page is saved")
}

func TestAnotherHashOfTheSameSecondReplaces(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	b.saveMappings(t, "acme", users(2, version(200, "a")))
	edited := store.Mapping{VomoID: "2", ExternalID: "ext-2b", Version: version(200, "b")}

	b.saveMappings(t, "acme", []store.Mapping{edited})

	require.Equal(t, version(200, "b"), b.versions(t, "acme", "2")["2"])
	require.Equal(t, 1, value[int](t, b, `SELECT count(*) FROM user_mappings WHERE external_user_id = 'ext-2b' AND last_known_email IS NULL`),
		"an email that was taken away is gone")
}

func TestAuditLinesGoToTheMonthsPartitionAndElseToTheDefault(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	audit := func(record, code string) {
		b.do(t, func(ctx context.Context, tx *store.Tx) error {
			return tx.SaveAudit(ctx, store.AuditScope{Customer: "acme", JobID: 7, TraceID: "trace"},
				[]store.AuditEntry{{RecordID: record, Operation: "backfill", UpdatedAt: time.Unix(100, 0), ErrorCode: code}})
		})
	}
	partition := func(record string) string {
		return value[string](t, b, `SELECT tableoid::regclass::text FROM sync_audit WHERE record_id = $1`, record)
	}
	audit("without a month", "")
	require.Equal(t, "sync_audit_default", partition("without a month"))

	b.advance(t, 31*24*time.Hour) // to April
	require.NoError(t, b.EnsureAuditMonths(t.Context()))
	require.NoError(t, b.EnsureAuditMonths(t.Context()), "again")
	audit("in April", "http_422")
	require.Equal(t, "sync_audit_2026_04", partition("in April"))
	b.advance(t, 28*24*time.Hour+14*time.Hour+30*time.Minute) // to midnight, the first of May
	audit("in May", "")
	require.Equal(t, "sync_audit_2026_05", partition("in May"))
	b.advance(t, -time.Microsecond)
	audit("late in April", "")
	require.Equal(t, "sync_audit_2026_04", partition("late in April"))

	require.Equal(t, "f http_422 backfill user 7 trace", value[string](t, b,
		`SELECT concat_ws(' ', succeeded, error_code, operation, resource_type, job_id, trace_id) FROM sync_audit WHERE record_id = 'in April'`))
	require.Equal(t, "t none", value[string](t, b,
		`SELECT concat_ws(' ', succeeded, coalesce(error_code, 'none')) FROM sync_audit WHERE record_id = 'in May'`))
}

func TestAMonthWhoseLinesStandInTheDefaultPartitionStaysThere(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	line := func(ctx context.Context, tx *store.Tx) error {
		return tx.SaveAudit(ctx, store.AuditScope{Customer: "acme"}, []store.AuditEntry{{RecordID: "1", UpdatedAt: time.Unix(1, 0)}})
	}
	b.do(t, line)

	require.NoError(t, b.EnsureAuditMonths(t.Context()))

	b.do(t, line)
	require.Equal(t, 2, value[int](t, b, `SELECT count(*) FROM sync_audit_default`))
	require.Equal(t, 1, value[int](t, b, `SELECT count(*) FROM pg_class WHERE relname = 'sync_audit_2026_04'`), "the next month has its own")
}

func TestALineThatArrivesWhileItsMonthIsMadeDisturbsNobody(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	made := make(chan error, 1)
	b.do(t, func(ctx context.Context, tx *store.Tx) error {
		scope := store.AuditScope{Customer: "acme"}
		if err := tx.SaveAudit(ctx, scope, []store.AuditEntry{{RecordID: "1", UpdatedAt: time.Unix(1, 0)}}); err != nil {
			return err
		}
		go func() { made <- b.EnsureAuditMonths(context.WithoutCancel(ctx)) }()
		b.untilBlocked(t, 1)
		return nil
	})
	if err := <-made; err != nil { // it waited too long for the lock
		require.NoError(t, b.EnsureAuditMonths(t.Context()))
	}
	require.Equal(t, 1, value[int](t, b, `SELECT count(*) FROM sync_audit_default`))
}

func TestProcessesThatStartTogetherMakeTheMonthsOnce(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	together(4, func(int) {
		if err := b.EnsureAuditMonths(t.Context()); err != nil {
			t.Errorf("ensure: %v", err)
		}
	})
	require.Equal(t, 4, value[int](t, b, `SELECT count(*) FROM pg_inherits WHERE inhparent = 'sync_audit'::regclass AND inhrelid::regclass::text LIKE '%2026%'`))
}
