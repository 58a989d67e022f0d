package inbound_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"rollcall.dev/pkg/giving/inbound"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/testkit"
	"rollcall.dev/pkg/vault"
	"rollcall.dev/pkg/virtuous"
)

func TestMain(m *testing.M) { testkit.Main(m) }

const (
	customer           = "acme"
	purposeTransaction = "transaction"
	source             = "AcmeGive"
)

// received is when the first webhook of a test was received.
var received = time.Date(2026, time.March, 2, 12, 0, 0, 0, time.UTC)

// fixture is an applier with a database of its own.
type fixture struct {
	applier *inbound.Applier
	pool    *pgxpool.Pool
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	database := testkit.Database(t)
	opened, err := store.Open(t.Context(), database, store.Options{MaxConns: 8})
	require.NoError(t, err)
	t.Cleanup(opened.Close)
	pool, err := pgxpool.New(t.Context(), database)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	keeper, err := vault.OpenKeeper(t.Context(), "dev:"+t.TempDir()+"/key")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, keeper.Close()) })
	return &fixture{pool: pool, applier: &inbound.Applier{
		Store: opened, Vault: &vault.Vault{Keeper: keeper, Keys: opened}, Logger: zap.NewNop(), TransactionPurpose: purposeTransaction,
	}}
}

func (f *fixture) exec(t testing.TB, statement string, arguments ...any) {
	t.Helper()
	_, err := f.pool.Exec(t.Context(), statement, arguments...)
	require.NoError(t, err)
}

// addCustomer adds a customer with giving.
func (f *fixture) addCustomer(t testing.TB, name string) {
	t.Helper()
	f.exec(t, `INSERT INTO virtuous_configs (customer_id, enabled, onboarded_at, designations_field, defaults, needs_review_after_hours,
		stuck_after_hours, organization_id, organization_name, time_zone, culture, updated_at)
		VALUES ($1, true, now(), 'designations', '{}', 72, 24, '1', 'Acme', 'UTC', 'en-US', now())`, name)
	_, err := f.applier.Vault.Seal(t.Context(), name, "any", nil) // the customer has a key from its onboarding
	require.NoError(t, err)
}

// addDonation adds a donation that was submitted, in a status.
func (f *fixture) addDonation(t testing.TB, name, id, status string) {
	t.Helper()
	body := fmt.Sprintf(`{"transactionSource":%q,"transactionId":%q,"amount":"125.00","currencyCode":"USD","giftDate":"2026-02-19","giftType":"Cash",
		"designations":[{"code":"CLEAN-WATER","amountDesignated":"125.00"}]}`, source, id)
	sealed, err := f.applier.Vault.Seal(t.Context(), name, purposeTransaction, []byte(body))
	require.NoError(t, err)
	f.exec(t, `INSERT INTO virtuous_donation_queue (customer_id, platform_donation_id, status, transaction_source, donation_sealed, body_sealed,
		content_hash, next_attempt_at, submitted_at, next_lookup_at, review_reason, created_at, status_at, updated_at)
		VALUES ($1, $2, $3, $4, '', $5, '', CASE WHEN $3 = 'pending' THEN now() END, CASE WHEN $3 IN ('submitted', 'needs_review') THEN now() END,
		CASE WHEN $3 = 'needs_review' THEN now() END, CASE WHEN $3 = 'needs_review' THEN 'match_needed' END, $6, $6, $6)`,
		name, id, status, source, sealed, received)
}

// apply applies records as one transaction.
func (f *fixture) apply(t testing.TB, records ...inbound.Record) []inbound.Outcome {
	t.Helper()
	outcomes, err := f.applier.ApplyAll(t.Context(), inbound.Pass{Customer: customer, Job: "webhook"}, records)
	require.NoError(t, err)
	require.Len(t, outcomes, len(records))
	return outcomes
}

// events returns the events of the customer so far, and forgets them.
func (f *fixture) events(t testing.TB) []string {
	t.Helper()
	rows, err := f.pool.Query(t.Context(), `WITH gone AS (DELETE FROM outbox RETURNING id, subject) SELECT subject FROM gone ORDER BY id`)
	require.NoError(t, err)
	subjects, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	names := []string{}
	for _, subject := range subjects {
		names = append(names, strings.TrimSuffix(strings.TrimPrefix(subject, "rollcall.events."), "."+customer))
	}
	return names
}

// tables returns what the customer's tables have, without the times of the database's own clock. What is sealed is opened.
func (f *fixture) tables(ctx context.Context, name string) (string, error) {
	var text strings.Builder
	for _, query := range []string{
		`SELECT 'gift', g.virtuous_gift_id, g.state, g.amount::text, g.currency_code, g.gift_date::text, g.gift_type, g.contact_id, g.transaction_source,
			g.transaction_id, g.platform_donation_id, g.modified_at, g.read_at, g.deleted_at, g.last_sync_at, g.sealed
			FROM partner_gifts g WHERE customer_id = $1 ORDER BY 2`,
		`SELECT 'contact', virtuous_contact_id, state, contact_type, merges_into, merged_into, modified_at, read_at, last_sync_at, sealed
			FROM partner_contacts WHERE customer_id = $1 ORDER BY 2`,
		`SELECT 'reference', reference_source, reference_id, virtuous_contact_id, noted_at FROM partner_references WHERE customer_id = $1 ORDER BY 2, 3`,
		`SELECT 'donation', platform_donation_id, status, virtuous_gift_id, virtuous_contact_id, recovery_path
			FROM virtuous_donation_queue WHERE customer_id = $1 ORDER BY 2`,
	} {
		rows, err := f.pool.Query(ctx, query, name)
		if err != nil {
			return "", err
		}
		values, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) ([]any, error) { return row.Values() })
		if err != nil {
			return "", err
		}
		for _, row := range values {
			for i, value := range row {
				switch value := value.(type) {
				case []byte:
					purpose := inbound.PurposeGift
					if row[0] == "contact" {
						purpose = inbound.PurposeContact
					}
					opened, err := f.applier.Vault.Open(ctx, name, purpose, value)
					if err != nil {
						return "", err
					}
					row[i] = string(opened)
				case time.Time:
					row[i] = value.UTC().Format(time.RFC3339Nano)
				}
			}
			text.WriteString(strings.Trim(fmt.Sprintln(row...), "\n") + "\n")
		}
	}
	return text.String(), nil
}

// precisions are the forms in which Virtuous writes times.
var precisions = []string{
	"2006-01-02T15:04:05", "2006-01-02T15:04:05.00", "2006-01-02T15:04:05.000", "2006-01-02T15:04:05.0000000", "2006-01-02T15:04:05.0000000Z",
}

// finest is the precision that leaves nothing out.
const finest = 3

// gift returns the members of a gift's record.
func gift(id, contact int64, amount, transaction string, modified time.Time) map[string]any {
	record := map[string]any{
		"id": id, "contactId": contact, "giftType": "Cash", "giftDate": "2026-02-19T00:00:00", "amount": json.Number(amount), "currencyCode": "USD",
		"modifiedDateTimeUtc": modified, "transactionSource": nil, "transactionId": nil, "notes": "Ana Ruiz",
		"giftDesignations": []any{map[string]any{"projectId": 9, "projectCode": "CLEAN-WATER", "amountDesignated": json.Number(amount)}},
	}
	if transaction != "" {
		record["transactionSource"], record["transactionId"] = source, transaction
	}
	return record
}

// contact returns the members of a contact's record.
func contact(id, mergedInto int64, name string, modified time.Time, references ...string) map[string]any {
	record := map[string]any{
		"id": id, "contactType": "Household", "name": name, "mergedIntoContactId": nil, "contactIndividuals": []any{}, "modifiedDateTimeUtc": modified,
	}
	if mergedInto != 0 {
		record["mergedIntoContactId"] = mergedInto
	}
	list := []any{}
	for _, reference := range references {
		list = append(list, map[string]any{"source": source, "id": reference})
	}
	record["contactReferences"] = list
	return record
}

// happening is one record of one event.
type happening struct {
	entity  string // "gift" or "contact"
	verb    string // "create", "update" or "delete"
	record  map[string]any
	at      time.Time
	read    bool
	precise int // which of the precisions
	form    int // which of the envelopes
}

// parsed returns what is read of a happening: as an answer, or from its envelope.
func (h happening) parsed() (inbound.Record, error) {
	record := map[string]any{}
	for name, value := range h.record {
		if at, ok := value.(time.Time); ok {
			value = at.Format(precisions[h.precise%len(precisions)])
		}
		record[name] = value
	}
	encoded, err := json.Marshal(record)
	if err != nil {
		return inbound.Record{}, err
	}
	switch {
	case h.read && h.entity == "gift":
		gift, err := virtuous.ParseGift(encoded)
		return inbound.Record{Gift: &gift, At: h.at, Read: true}, err
	case h.read:
		contact, err := virtuous.ParseContact(encoded)
		return inbound.Record{Contact: &contact, At: h.at, Read: true}, err
	}
	delivery, err := virtuous.ParseDelivery(h.envelope(encoded))
	if err != nil {
		return inbound.Record{}, err
	}
	entries := delivery.Records()
	if len(entries) != 1 {
		return inbound.Record{}, fmt.Errorf("%d entries", len(entries))
	}
	parsed, ok := inbound.Delivered(entries[0], h.at)
	if !ok {
		return inbound.Record{}, fmt.Errorf("%s", entries[0].Problem)
	}
	return parsed, nil
}

// envelope returns a delivery with the record in one of the envelopes.
func (h happening) envelope(record []byte) []byte {
	title := func(text string) string { return strings.ToUpper(text[:1]) + text[1:] }
	switch h.form % 4 {
	case 0:
		return fmt.Appendf(nil, `{"event":%q,"models":[{%q:%s}]}`, title(h.entity)+title(h.verb), h.entity, record)
	case 1:
		return fmt.Appendf(nil, `{"event":%q,%q:%s}`, h.entity+title(h.verb), h.entity, record)
	case 2:
		return fmt.Appendf(nil, `{"eventType":%q,"eventId":"e1","data":%s}`, h.entity+"."+h.verb+"d", record)
	}
	return fmt.Appendf(nil, `{"eventType":%q,"data":{%q:%s}}`, h.entity+"."+h.verb+"d", h.entity, record)
}

// the returns what is read of a happening.
func (h happening) the(t testing.TB) inbound.Record {
	t.Helper()
	record, err := h.parsed()
	require.NoError(t, err)
	require.False(t, record.NeedsRead())
	return record
}
