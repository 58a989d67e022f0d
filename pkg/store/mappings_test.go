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

func (f *fixture) saveMappings(t testing.TB, customer string, page []store.Mapping) {
	t.Helper()
	f.do(t, func(ctx context.Context, tx *store.Tx) error { return tx.SaveMappings(ctx, customer, page) })
}

func (f *fixture) versions(t testing.TB, customer string, ids ...string) map[string]store.Version {
	t.Helper()
	versions, err := f.MappedVersions(t.Context(), customer, ids)
	require.NoError(t, err)
	for id, v := range versions {
		versions[id] = store.Version{UpdatedAt: v.UpdatedAt.Local(), Hash: v.Hash}
	}
	return versions
}

func TestAPageOfMappingsIsSavedWithItsNullEmails(t *testing.T) {
	t.Parallel()
	f := newFixture(t)

	f.saveMappings(t, "acme", users(15, version(100, "a")))

	count, err := f.CountMappings(t.Context(), "acme")
	require.NoError(t, err)
	require.Equal(t, int64(15), count)
	require.Equal(t, 5, value[int](t, f, `SELECT count(*) FROM user_mappings WHERE last_known_email IS NULL`))
	require.Equal(t, "ext-2 person2@example.org", value[string](t, f,
		`SELECT external_user_id || ' ' || last_known_email FROM user_mappings WHERE vomo_user_id = '2'`))
	require.Equal(t, map[string]store.Version{"1": version(100, "a"), "15": version(100, "a")}, f.versions(t, "acme", "1", "15", "16"))
	require.Empty(t, f.versions(t, "globex", "1"), "another customer's")
}

// The page of a customer, and a look-up of one user by id or address, read one partition and by an index.
func TestMappingsArePartitionedByCustomerAndFoundByIDsAndAddress(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	require.Equal(t, 16, value[int](t, f, `SELECT count(*) FROM pg_inherits WHERE inhparent = 'user_mappings'::regclass`))
	require.Equal(t, "HASH (customer_id)", value[string](t, f, `SELECT pg_get_partkeydef('user_mappings'::regclass)`))
	for _, columns := range []string{"customer_id, vomo_user_id", "customer_id, last_known_email", "customer_id, external_user_id"} {
		require.Equal(t, 1, value[int](t, f, `SELECT count(*) FROM pg_index WHERE indrelid = 'user_mappings'::regclass
			AND pg_get_indexdef(indexrelid) LIKE '%(' || $1 || ')'`, columns), columns)
	}
}

func TestAnOlderVersionNeverReplacesANewer(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.saveMappings(t, "acme", users(2, version(200, "new")))

	f.saveMappings(t, "acme", append(users(2, version(199, "old")), store.Mapping{VomoID: "3", ExternalID: "ext-3", Version: version(199, "old")}))

	require.Equal(t, map[string]store.Version{"1": version(200, "new"), "2": version(200, "new"), "3": version(199, "old")},
		f.versions(t, "acme", "1", "2", "3"), "the rest of the page is saved")
}

func TestAnotherHashOfTheSameSecondReplaces(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.saveMappings(t, "acme", users(2, version(200, "a")))
	edited := store.Mapping{VomoID: "2", ExternalID: "ext-2b", Version: version(200, "b")}

	f.saveMappings(t, "acme", []store.Mapping{edited})

	require.Equal(t, version(200, "b"), f.versions(t, "acme", "2")["2"])
	require.Equal(t, 1, value[int](t, f, `SELECT count(*) FROM user_mappings WHERE external_user_id = 'ext-2b' AND last_known_email IS NULL`),
		"an email that was taken away is gone")
}

func TestAuditLinesGoToTheMonthsPartitionAndElseToTheDefault(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	audit := func(record, code string) {
		f.do(t, func(ctx context.Context, tx *store.Tx) error {
			return tx.SaveAudit(ctx, store.AuditScope{Customer: "acme", JobID: 7, TraceID: "trace"},
				[]store.AuditEntry{{RecordID: record, Operation: "backfill", UpdatedAt: time.Unix(100, 0), ErrorCode: code}})
		})
	}
	partition := func(record string) string {
		return value[string](t, f, `SELECT tableoid::regclass::text FROM sync_audit WHERE record_id = $1`, record)
	}
	audit("without a month", "")
	require.Equal(t, "sync_audit_default", partition("without a month"))

	f.advance(t, 31*24*time.Hour) // to April
	require.NoError(t, f.EnsureAuditMonths(t.Context()))
	require.NoError(t, f.EnsureAuditMonths(t.Context()), "again")
	audit("in April", "http_422")
	require.Equal(t, "sync_audit_2026_04", partition("in April"))
	f.advance(t, 28*24*time.Hour+14*time.Hour+30*time.Minute) // to midnight, the first of May
	audit("in May", "")
	require.Equal(t, "sync_audit_2026_05", partition("in May"))
	f.advance(t, -time.Microsecond)
	audit("late in April", "")
	require.Equal(t, "sync_audit_2026_04", partition("late in April"))

	require.Equal(t, "f http_422 backfill user 7 trace", value[string](t, f,
		`SELECT concat_ws(' ', succeeded, error_code, operation, resource_type, job_id, trace_id) FROM sync_audit WHERE record_id = 'in April'`))
	require.Equal(t, "t none", value[string](t, f,
		`SELECT concat_ws(' ', succeeded, coalesce(error_code, 'none')) FROM sync_audit WHERE record_id = 'in May'`))
}

func TestAMonthWhoseLinesStandInTheDefaultPartitionStaysThere(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	line := func(ctx context.Context, tx *store.Tx) error {
		return tx.SaveAudit(ctx, store.AuditScope{Customer: "acme"}, []store.AuditEntry{{RecordID: "1", UpdatedAt: time.Unix(1, 0)}})
	}
	f.do(t, line)

	require.NoError(t, f.EnsureAuditMonths(t.Context()))

	f.do(t, line)
	require.Equal(t, 2, value[int](t, f, `SELECT count(*) FROM sync_audit_default`))
	require.Equal(t, 1, value[int](t, f, `SELECT count(*) FROM pg_class WHERE relname = 'sync_audit_2026_04'`), "the next month has its own")
}

func TestAuditLineThatArrivesWhileItsMonthIsMadeIsStored(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	made := make(chan error, 1)
	f.do(t, func(ctx context.Context, tx *store.Tx) error {
		scope := store.AuditScope{Customer: "acme"}
		if err := tx.SaveAudit(ctx, scope, []store.AuditEntry{{RecordID: "1", UpdatedAt: time.Unix(1, 0)}}); err != nil {
			return err
		}
		go func() { made <- f.EnsureAuditMonths(context.WithoutCancel(ctx)) }()
		f.untilBlocked(t, 1)
		return nil
	})
	if err := <-made; err != nil { // it waited too long for the lock
		require.NoError(t, f.EnsureAuditMonths(t.Context()))
	}
	require.Equal(t, 1, value[int](t, f, `SELECT count(*) FROM sync_audit_default`))
}

func TestProcessesThatStartTogetherMakeTheMonthsOnce(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	atOnce(4, func(int) {
		if err := f.EnsureAuditMonths(t.Context()); err != nil {
			t.Errorf("ensure: %v", err)
		}
	})
	require.Equal(t, 4, value[int](t, f, `SELECT count(*) FROM pg_inherits WHERE inhparent = 'sync_audit'::regclass AND inhrelid::regclass::text LIKE '%2026%'`))
}
