package pages

import (
	"encoding/json"
	"flag"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/record"
	"rollcall.dev/pkg/service"
)

// By hand: go test ./services/console/internal/pages -run '^$' -bench Audit -benchtime 50x -benched-audit 10000000 -timeout 60m.
var benchedAudit = flag.Int("benched-audit", 100_000, "lines of the audit in the benchmarks of a record and of recent changes")

// audited generates lines of the audit over a year, in months, in the order of time, for 100 customers with 1,000 users each. It reports how long
// that took.
func (f *fixture) audited(b *testing.B) {
	b.Helper()
	began := time.Now()
	f.exec(`SELECT ensure_audit_month(m) FROM generate_series(timestamptz '2025-03-01', '2026-03-01', interval '1 month') m`)
	f.exec(`INSERT INTO sync_configs (customer_id, external_system_url, destination, enabled, onboarded_at, updated_at, backfill_completed_at, last_polled_at)
		SELECT 'c' || i, 'https://crm.example/', '{"kind":"rest"}', true, '2025-01-01', '2025-01-01', '2025-02-01', '2026-03-02T09:29:00Z'
		FROM generate_series(0, 99) i`)
	f.exec(`INSERT INTO user_mappings (customer_id, vomo_user_id, external_user_id, last_synced_updated_at, version_hash, last_synced_at)
		SELECT 'c' || i, u::text, 'x' || u, '2026-02-01', '', '2026-02-01' FROM generate_series(0, 99) i, generate_series(0, 999) u`)
	f.exec(`INSERT INTO sync_audit (customer_id, resource_type, record_id, operation, job_id, succeeded, source_updated_at, processed_at)
		SELECT 'c' || n % 100, 'user', (n / 100 % 1000)::text, 'update', n, true, at, at
		FROM generate_series(0, $1::bigint - 1) n, LATERAL (SELECT timestamptz '2025-03-02' + n * (interval '365 days' / $1::bigint) AS at) a`, *benchedAudit)
	f.exec(`VACUUM ANALYZE sync_audit`)
	b.Logf("%d lines of the audit generated in %s", *benchedAudit, time.Since(began).Round(time.Second))
}

// answerUsers answers as the service that owns the trace of a user, with the same package.
func (f *fixture) answerUsers(b *testing.B) {
	b.Helper()
	_, err := f.Conn.Subscribe(service.APISubject("users", "show"), func(message *nats.Msg) {
		var question operatorapi.TraceQuestion
		err := json.Unmarshal(message.Data, &question)
		var user *record.User
		if err == nil {
			user, err = record.UserOf(b.Context(), f.Store.Conn, question.CustomerID, question.RecordID)
		}
		var answer []byte
		if err == nil {
			answer, err = json.Marshal(operatorapi.TraceReply{Traces: []operatorapi.Trace{user.Trace()}})
		}
		if err == nil {
			err = message.Respond(answer)
		}
		if err != nil {
			b.Error(err)
		}
	})
	require.NoError(b, err)
}

// BenchmarkAudit is the page of a record's timeline, and a customer's page with its recent changes.
func BenchmarkAudit(b *testing.B) {
	f := newFixture(b)
	f.audited(b)
	f.answerUsers(b)
	b.Run("record", func(b *testing.B) {
		f.medianOf(b, func(i int) string {
			return recordPath("c"+strconv.Itoa(i%100), operatorapi.TraceUser, strconv.Itoa(i*37%1000))
		})
	})
	b.Run("customer", func(b *testing.B) {
		f.medianOf(b, func(i int) string { return customerPath("c" + strconv.Itoa(i%100)) })
	})
}
