package store_test

import (
	"context"
	"io/fs"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/testkit"
	schema "rollcall.dev/sql"
)

// longestPage is how long a migration may delay a page of a running service.
const longestPage = 5 * time.Second

// migrationsUpTo are the migrations with a number up to last.
func migrationsUpTo(t *testing.T, last string) fstest.MapFS {
	t.Helper()
	files := fstest.MapFS{}
	names, err := fs.Glob(schema.Migrations, "migrations/*.sql")
	require.NoError(t, err)
	for _, name := range names {
		content, err := fs.ReadFile(schema.Migrations, name)
		require.NoError(t, err)
		if file := strings.TrimPrefix(name, "migrations/"); file[:5] <= last {
			files[file] = &fstest.MapFile{Data: content}
		}
	}
	return files
}

// dump holds what pg_dump holds while it reads: a snapshot, and ACCESS SHARE on every table.
func dump(t *testing.T, url string) (finish func()) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	finish = func() { require.NoError(t, conn.Close(context.WithoutCancel(t.Context()))) } // a second time it does nothing
	t.Cleanup(finish)
	for _, statement := range []string{
		`BEGIN ISOLATION LEVEL REPEATABLE READ`,
		`DO $$ DECLARE r regclass; BEGIN
			FOR r IN SELECT oid FROM pg_class WHERE relkind IN ('r', 'p') AND relnamespace = 'public'::regnamespace LOOP
				EXECUTE format('LOCK TABLE %s IN ACCESS SHARE MODE', r);
			END LOOP; END $$`,
	} {
		_, err := conn.Exec(t.Context(), statement)
		require.NoError(t, err)
	}
	return finish
}

func TestMigrateBesideADumpAndTrafficDelaysNoPage(t *testing.T) {
	t.Parallel()
	url := testkit.EmptyDatabase(t)
	before := migrationsUpTo(t, "00007")
	require.NoError(t, (&store.Migration{DatabaseURL: url, Files: before}).Run(t.Context()))
	seed, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, seed.Close(context.WithoutCancel(t.Context()))) })
	_, err = seed.Exec(t.Context(), `INSERT INTO sync_configs (customer_id, external_system_url, destination, onboarded_at, updated_at)
		VALUES ('acme', 'https://crm.example.org', '{}', now(), now())`)
	require.NoError(t, err)
	finish := dump(t, url)

	migrated := make(chan error, 1)
	go func() {
		migrated <- (&store.Migration{DatabaseURL: url, Pause: 300 * time.Millisecond}).Run(t.Context())
	}()
	longest, pages := time.Duration(0), 0
	page := func() {
		began := time.Now()
		_, err := seed.Exec(t.Context(), `WITH read AS (
				SELECT FROM backfill_runs b JOIN job_log j ON j.id = b.job_id, sync_runs, dead_letters, alerts, outbox, user_mappings),
			audit AS (INSERT INTO sync_audit (customer_id, resource_type, record_id, operation, succeeded, processed_at)
				VALUES ('acme', 'user', '1', 'create', true, now()))
			UPDATE sync_configs SET updated_at = now() WHERE customer_id = 'acme'`)
		require.NoError(t, err)
		longest = max(longest, time.Since(began))
		pages++
	}
	var ended error
	for waiting, until := true, time.After(6*time.Second); waiting; {
		page()
		select {
		case ended = <-migrated:
			require.NoError(t, ended)
			migrated <- nil
			waiting = false
		case <-until:
			waiting = false
		default:
		}
	}
	finish()
	for waiting := true; waiting; {
		page()
		select {
		case ended = <-migrated:
			waiting = false
		default:
		}
	}
	require.NoError(t, ended)
	require.NoError(t, store.CheckSchema(t.Context(), url))
	t.Logf("%d pages, the longest %s", pages, longest)
	require.Less(t, longest, longestPage)
}

func TestAStepThatIsRefusedItsLockIsTriedAgain(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	finish := dump(t, f.url)
	files := migrationsUpTo(t, "99999")
	files["99999_step.sql"] = &fstest.MapFile{Data: []byte("-- +goose Up\nALTER TABLE alerts ADD COLUMN step text;\n")}
	migrated := make(chan error, 1)
	go func() {
		migrated <- (&store.Migration{DatabaseURL: f.url, Files: files, Pause: 10 * time.Millisecond}).Run(t.Context())
	}()
	f.untilBlocked(t, 1)
	longest := time.Duration(0)
	for range 4 {
		began := time.Now()
		f.exec(t, `SELECT count(*) FROM alerts`) // waits behind the step until that gives up
		longest = max(longest, time.Since(began))
	}

	finish()

	require.NoError(t, <-migrated)
	require.Less(t, longest, longestPage)
	require.True(t, value[bool](t, f, `SELECT EXISTS (SELECT FROM information_schema.columns WHERE table_name = 'alerts' AND column_name = 'step')`))
}

// An index that could not be finished stays behind as invalid: the file that makes it drops it first.
func TestAnIndexThatWasLeftInvalidIsBuiltAgain(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.exec(t, `INSERT INTO alerts (customer_id, type, severity, raised_at, cleared_at) SELECT 'acme', 'same', 'warning', now(), now() FROM generate_series(1, 2)`)
	files := migrationsUpTo(t, "99999")
	files["99999_index.sql"] = &fstest.MapFile{Data: []byte("-- +goose NO TRANSACTION\n-- +goose Up\n" +
		"DROP INDEX CONCURRENTLY IF EXISTS alerts_test;\nCREATE UNIQUE INDEX CONCURRENTLY alerts_test ON alerts (customer_id, type);\n")}
	migration := &store.Migration{DatabaseURL: f.url, Files: files}
	require.ErrorContains(t, migration.Run(t.Context()), "alerts_test")
	const valid = `SELECT indisvalid FROM pg_index WHERE indexrelid = 'alerts_test'::regclass`
	require.False(t, value[bool](t, f, valid))

	f.exec(t, `DELETE FROM alerts WHERE id = (SELECT max(id) FROM alerts)`)
	require.NoError(t, migration.Run(t.Context()))

	require.True(t, value[bool](t, f, valid))
}

// large are the tables that grow with customers or runs.
const large = `sync_configs|user_mappings|sync_audit\w*|job_log|runs|backfill_runs|sync_runs|deletion_\w+|dead_letters|scan_seen|alerts|outbox|customer_\w+|` +
	`credentials|sync_checkpoints|onboarding_requests|notifications|reconciliation_\w+|letter_holds|destination_holds|offboardings|` +
	`participations|writebacks|writeback_holds|review_items|` +
	`virtuous_configs|virtuous_keys|virtuous_catalogs|virtuous_budgets|virtuous_donation_queue|virtuous_contact_queue|virtuous_reconciliation_log\w*|` +
	`contact_differences|virtuous_oauth|access_grants|console_sessions|idempotency_keys|giving_\w+|partner_\w+|webhook_\w+|endpoints|endpoint_\w+|dlq_\w+`

func TestMigrationsBlockNoStatement(t *testing.T) {
	t.Parallel()
	// ON ONLY a table with partitions an index has no rows: the migration builds those of the partitions CONCURRENTLY.
	plainIndex := regexp.MustCompile(`(?i)CREATE\s+(UNIQUE\s+)?INDEX\s+(IF NOT EXISTS\s+)?\w+\s+ON\s+(` + large + `)\b`)
	concurrent := regexp.MustCompile(`(?i)CREATE\s+(?:UNIQUE\s+)?INDEX\s+CONCURRENTLY\s+(?:IF NOT EXISTS\s+)?(\w+)`)
	altered := regexp.MustCompile(`(?i)ALTER\s+TABLE\s+(?:IF EXISTS\s+)?(?:ONLY\s+)?(` + large + `)\b`)
	made := regexp.MustCompile(`(?i)CREATE\s+TABLE\s+(?:IF NOT EXISTS\s+)?(\w+)`)
	for name, file := range migrationsUpTo(t, "99999") {
		if name[:5] <= "00007" { // these have landed
			continue
		}
		up, _, _ := strings.Cut(string(file.Data), "-- +goose Down")
		own := map[string]bool{}
		for _, table := range made.FindAllStringSubmatch(up, -1) {
			own[table[1]] = true
		}
		for _, index := range plainIndex.FindAllStringSubmatch(up, -1) {
			require.True(t, own[index[3]], "%s: an index on %s that is not CONCURRENTLY keeps all who write away while it is built", name, index[3])
		}
		tables := map[string]bool{}
		for _, table := range altered.FindAllStringSubmatch(up, -1) {
			if !own[table[1]] {
				tables[table[1]] = true
			}
		}
		require.LessOrEqual(t, len(tables), 1, "%s: while one of %v is waited for, the other is locked: one step a file", name, tables)
		indexes := concurrent.FindAllStringSubmatch(up, -1)
		if len(indexes) == 0 {
			continue
		}
		require.Len(t, indexes, 1, "%s: one index a file: a file that is tried again begins at its first line", name)
		require.Contains(t, up, "+goose NO TRANSACTION", name)
		require.Regexp(t, `DROP INDEX CONCURRENTLY IF EXISTS `+indexes[0][1]+`;`, up,
			"%s: what a try that failed leaves behind is invalid, and has to go first", name)
	}
}
