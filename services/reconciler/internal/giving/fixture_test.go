package giving

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"rollcall.dev/pkg/budget"
	"rollcall.dev/pkg/connector"
	"rollcall.dev/pkg/giving"
	"rollcall.dev/pkg/giving/inbound"
	"rollcall.dev/pkg/giving/inbox"
	"rollcall.dev/pkg/round"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/testkit"
	"rollcall.dev/pkg/vault"
)

func TestMain(m *testing.M) { testkit.MainOfWaiting(m) }

// noon is when the tests begin, in the middle of a day of the organizations.
var noon = time.Date(2026, time.March, 4, 19, 0, 0, 0, time.UTC)

// fixture is the reconciler before a Virtuous that answers as a test says. The database's clock stands still.
type fixture struct {
	store      *store.Store
	vault      *vault.Vault
	pool       *pgxpool.Pool
	server     *httptest.Server
	reconciler *Reconciler
	rounds     *round.Runner

	mu       sync.Mutex
	answers  map[string]string         // by customer: what a lookup is answered; "" is 404
	gifts    map[string]map[string]any // by transaction id: found by lookups and queries
	contacts []map[string]any
	perPage  int               // records on a page of a query, at most
	listed   map[string]any    // what gifts in lists have instead of their fields
	unlisted []int64           // gifts that are in no query
	spoiled  map[string]string // what requests for gifts are answered, by path, as in answers
	asked    []string          // requests for gifts and contacts
	count    int               // all requests
	date     time.Time
	refused  map[string]int // statuses of paths
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{answers: map[string]string{}, gifts: map[string]map[string]any{}, perPage: 2, date: noon}
	f.server = httptest.NewServer(f)
	t.Cleanup(f.server.Close)
	database := testkit.Database(t)
	var err error
	f.store, err = store.Open(t.Context(), database, store.Options{MaxConns: 8})
	require.NoError(t, err)
	t.Cleanup(f.store.Close)
	f.pool, err = pgxpool.New(t.Context(), database)
	require.NoError(t, err)
	t.Cleanup(f.pool.Close)
	keeper, err := vault.OpenKeeper(t.Context(), "dev:"+filepath.Join(t.TempDir(), "key"))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, keeper.Close()) })
	f.vault = &vault.Vault{Keeper: keeper, Keys: f.store}
	atOnce := func(context.Context, time.Duration) error { return nil }
	f.reconciler = &Reconciler{
		Store: f.store, Logger: zap.NewNop(), Every: 6 * time.Hour, Sleep: atOnce,
		Inbound: &inbound.Applier{Store: f.store, Vault: f.vault, Logger: zap.NewNop(), TransactionPurpose: giving.PurposeTransaction},
		Virtuous: &connector.Virtuous{
			Store: f.store, Vault: f.vault, Logger: zap.NewNop(), BaseURL: f.server.URL, Transport: http.DefaultTransport, Timeout: 10 * time.Second,
			Hourly: budget.Hourly{PerHour: 1e7, Share: 1}, Sleep: atOnce,
		},
	}
	f.rounds = round.New(round.Config{
		Store: f.store, Logger: zap.NewNop(), Holder: "reconciler-1", LeaseFor: 30 * time.Second, Slots: 4, Kind: f.reconciler.Kind(),
	})
	f.exec(t, `CREATE TABLE test_clock AS SELECT $1::timestamptz AS at`, noon)
	f.exec(t, `CREATE OR REPLACE FUNCTION rollcall_now() RETURNS timestamptz LANGUAGE sql STABLE AS 'SELECT at FROM test_clock'`)
	return f
}

// ServeHTTP is Virtuous. A customer's key is its id.
func (f *fixture) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	customer := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	f.mu.Lock()
	path := strings.TrimPrefix(r.URL.Path, "/api")
	if f.answers[customer] == "timeout" || f.spoiled[path] == "timeout" {
		f.mu.Unlock()
		<-r.Context().Done() // the client gives up
		return
	}
	defer f.mu.Unlock()
	f.count++
	w.Header().Set("Date", f.date.UTC().Format(http.TimeFormat))
	w.Header().Set("Content-Type", "application/json")
	parts := strings.Split(strings.TrimPrefix(path, "/"), "/")
	answer := cmp.Or(f.answers[customer], f.spoiled[path])
	if answer == "401" {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	if status := f.refused[path]; status != 0 {
		f.asked = append(f.asked, path)
		w.WriteHeader(status)
		return
	}
	switch {
	case strings.HasSuffix(path, "/QueryOptions"):
		w.WriteHeader(http.StatusNotFound)
	case path == "/Organization/Current":
		_, _ = io.WriteString(w, `{"organizationId":1,"organizationName":"Relief"}`)
	case path == "/Gift/Query", path == "/Gift/Query/FullGift", path == "/Contact/Query/FullContact":
		f.asked = append(f.asked, path)
		f.query(w, r, parts[0])
	case len(parts) == 3:
		f.asked = append(f.asked, path)
		found := f.gifts[parts[2]]
		if parts[0] == "Contact" {
			found = f.contactOf(parts[2])
		}
		f.lookUp(w, answer, parts[0], parts[2], found)
	case len(parts) == 2 && parts[0] == "Gift":
		f.asked = append(f.asked, path)
		var found map[string]any
		for _, gift := range f.gifts {
			if fmt.Sprint(gift["id"]) == parts[1] {
				found = gift
			}
		}
		f.lookUp(w, answer, parts[0], parts[1], found)
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

func (f *fixture) lookUp(w http.ResponseWriter, answer, kind, id string, found map[string]any) {
	status, err := strconv.Atoi(answer)
	switch {
	case err == nil:
		w.WriteHeader(status)
	case answer == "broken":
		panic(http.ErrAbortHandler) // the connection ends without an answer
	case answer == "html":
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, "<html><body>Sign in</body></html>")
	case answer == "transaction" && kind == "Contact":
		_, _ = fmt.Fprintf(w, `{"referenceSource":"AcmeGive","referenceId":%q,"status":"Pending"}`, id)
	case answer == "transaction":
		_, _ = fmt.Fprintf(w, `{"transactionSource":"AcmeGive","transactionId":%q,"status":"Pending"}`, id)
	case answer == "empty":
	case found != nil:
		_ = json.NewEncoder(w).Encode(found)
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

// query answers with a page of the records above the cursor.
func (f *fixture) query(w http.ResponseWriter, r *http.Request, kind string) {
	var body struct {
		Groups []struct {
			Conditions []struct{ Parameter, Value string }
		}
	}
	_ = json.NewDecoder(r.Body).Decode(&body)
	after := int64(0)
	for _, condition := range body.Groups[0].Conditions {
		if strings.HasSuffix(condition.Parameter, "Id") {
			after, _ = strconv.ParseInt(condition.Value, 10, 64)
		} else {
			f.asked = append(f.asked, condition.Parameter+" "+condition.Value)
		}
	}
	idOf := func(one map[string]any) int64 { id, _ := one["id"].(int64); return id }
	all := f.contacts
	if kind == "Gift" {
		all = nil
		for _, gift := range f.gifts {
			shown := maps.Clone(gift)
			maps.Copy(shown, f.listed)
			all = append(all, shown)
		}
	}
	list := slices.DeleteFunc(slices.Clone(all), func(one map[string]any) bool {
		return idOf(one) <= after || kind == "Gift" && slices.Contains(f.unlisted, idOf(one))
	})
	slices.SortFunc(list, func(a, b map[string]any) int { return cmp.Compare(idOf(a), idOf(b)) })
	take, _ := strconv.Atoi(r.URL.Query().Get("take"))
	_ = json.NewEncoder(w).Encode(map[string]any{"list": append([]map[string]any{}, list[:min(take, f.perPage, len(list))]...)})
}

// gift has Virtuous have the gift of a donation.
func (f *fixture) gift(id int64, donation string, changed time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.gifts[donation] = map[string]any{
		"id": id, "contactId": 7, "transactionSource": "acmegive", "transactionId": donation, "giftType": "Credit", "giftDate": "2026-03-01",
		"amount": 125, "currencyCode": "USD", "modifiedDateTimeUtc": changed.UTC().Format(time.RFC3339), "giftDesignations": []any{},
	}
}

// contactOf returns the contact that has a reference, nil if there is none.
func (f *fixture) contactOf(reference string) map[string]any {
	for _, contact := range f.contacts {
		if references, _ := contact["contactReferences"].([]any); len(references) > 0 {
			if one, _ := references[0].(map[string]any); one["id"] == reference {
				return contact
			}
		}
	}
	return nil
}

// referred has Virtuous have the contact of a reference.
func (f *fixture) referred(id int64, reference string, changed time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.contacts = append(f.contacts, map[string]any{
		"id": id, "contactType": "Household", "name": "Ruiz, Ana", "mergedIntoContactId": nil, "contactIndividuals": []any{},
		"contactReferences": []any{map[string]any{"source": "acmegive", "id": reference}}, "modifiedDateTimeUtc": changed.UTC().Format(time.RFC3339),
	})
}

// submittedContact adds a contact of the platform whose transaction Virtuous accepted some time ago.
func (f *fixture) submittedContact(t testing.TB, customer, reference string, ago time.Duration) {
	t.Helper()
	f.exec(t, `INSERT INTO virtuous_contact_queue (customer_id, reference_source, reference_id, status, transaction_source, partner_sealed, partner_published_at,
		body_sealed, content_hash, sent_hash, submitted_at, unanswered_since, created_at, status_at, updated_at)
		SELECT $1, 'acmegive', $2, 'submitted', 'AcmeGive', '\x00', c.at, '\x00', '\x00', '\x00', c.at, c.at, c.at, c.at, c.at
		FROM (SELECT rollcall_now() - $3::interval AS at) c`, customer, reference, ago)
}

// sentContacts returns the contacts of the platform with what matters of them.
func (f *fixture) sentContacts(t testing.TB, customer string) []string {
	t.Helper()
	return column[string](t, f, `SELECT concat_ws(' ', reference_id, status, recovery_path, review_reason, virtuous_contact_id)
		FROM virtuous_contact_queue WHERE customer_id = $1 ORDER BY id`, customer)
}

// webhook has the gift of a donation delivered, and applied as the service donations does.
func (f *fixture) webhook(t testing.TB, customer, donation string) {
	t.Helper()
	body, err := json.Marshal(map[string]any{"event": "GiftCreate", "models": []any{f.gifts[donation]}})
	require.NoError(t, err)
	keys, err := inbox.OpenKeys(t.Context(), f.vault, customer, "1")
	require.NoError(t, err)
	keys.Organization = "1"
	now, err := f.store.Now(t.Context())
	require.NoError(t, err)
	part, err := inbox.Part{Customer: customer, Event: "gift_create", Records: 1, Body: body, ReceivedAt: now}.Message(keys)
	require.NoError(t, err)
	added, err := inbox.Add(t.Context(), f.store.Conn, part)
	require.NoError(t, err)
	require.True(t, added)
	applying := &inbox.Applying{
		Store: f.store, Vault: f.vault, Logger: zap.NewNop(), Applier: f.reconciler.Inbound,
		Open: func(context.Context, string) (inbox.Reader, error) { return nil, errors.New("the record is complete") },
	}
	rounds := round.New(round.Config{Store: f.store, Logger: zap.NewNop(), Slots: 1, Kind: applying.Kind()})
	rounds.Work(t.Context(), round.Next{Customer: customer}, make(chan struct{}))
}

func (f *fixture) answer(customer, with string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.answers[customer] = with
}

// requests returns the requests since the last call.
func (f *fixture) requests() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	asked := f.asked
	f.asked = nil
	return asked
}

func (f *fixture) onboard(t testing.TB, customer string) {
	t.Helper()
	f.exec(t, `INSERT INTO sync_configs (customer_id, external_system_url, destination, onboarded_at, updated_at)
		VALUES ($1, '', '{}', rollcall_now() - interval '9 days', rollcall_now() - interval '9 days')`, customer)
	f.exec(t, `INSERT INTO virtuous_configs (customer_id, enabled, onboarded_at, designations_field, defaults, needs_review_after_hours, stuck_after_hours,
		organization_id, organization_name, time_zone, culture, updated_at, next_reconcile_at)
		VALUES ($1, true, rollcall_now() - interval '9 days', 'designations', '{}', 72, 24, '1', 'Relief', 'America/Phoenix', 'en-US',
		rollcall_now() - interval '9 days', 'infinity')`, customer)
	sealed, err := f.vault.Seal(t.Context(), customer, store.CredentialVirtuousToken, []byte(customer))
	require.NoError(t, err)
	f.exec(t, `INSERT INTO credentials (customer_id, name, sealed, updated_at) VALUES ($1, 'virtuous_token', $2, rollcall_now())`, customer, sealed)
}

// submitted adds a donation that Virtuous accepted some time ago.
func (f *fixture) submitted(t testing.TB, customer, id string, ago time.Duration) {
	t.Helper()
	body, err := f.vault.Seal(t.Context(), customer, giving.PurposeTransaction, []byte(`{"amount":"125.00","currencyCode":"USD","giftDate":"2026-03-01"}`))
	require.NoError(t, err)
	f.exec(t, `INSERT INTO virtuous_donation_queue (customer_id, platform_donation_id, status, transaction_source, donation_sealed, body_sealed, content_hash,
		submitted_at, unanswered_since, created_at, status_at, updated_at)
		SELECT $1, $2, 'submitted', 'AcmeGive', '\x00', $3, '\x00', c.at, c.at, c.at, c.at, c.at
		FROM (SELECT rollcall_now() - $4::interval AS at) c`, customer, id, body, ago)
}

func (f *fixture) exec(t testing.TB, statement string, args ...any) {
	t.Helper()
	_, err := f.pool.Exec(t.Context(), statement, args...)
	require.NoError(t, err)
}

func column[T any](t testing.TB, f *fixture, statement string, args ...any) []T {
	t.Helper()
	rows, err := f.pool.Query(t.Context(), statement, args...)
	require.NoError(t, err)
	found, err := pgx.CollectRows(rows, pgx.RowTo[T])
	require.NoError(t, err)
	return found
}

// advance moves the clocks.
func (f *fixture) advance(t testing.TB, by time.Duration) {
	t.Helper()
	f.exec(t, `UPDATE test_clock SET at = at + $1::interval`, by)
	f.mu.Lock()
	f.date = f.date.Add(by)
	f.mu.Unlock()
}

// reconcile asks for a category, and gives the customer rounds until it is complete or held.
func (f *fixture) reconcile(t testing.TB, customer string, categories ...string) round.End {
	t.Helper()
	for _, category := range categories {
		require.NoError(t, f.store.InTx(t.Context(), func(ctx context.Context, tx *store.Tx) error { return Ask(ctx, tx, customer, category) }))
	}
	for range 20 {
		end := f.rounds.Work(t.Context(), round.Next{Customer: customer}, make(chan struct{}))
		if !end.More {
			return end
		}
	}
	require.Fail(t, "the pass does not end")
	return round.End{}
}

// rows returns the donations with what matters of them, and the log.
func (f *fixture) donations(t testing.TB, customer string) []string {
	t.Helper()
	return column[string](t, f, `SELECT concat_ws(' ', platform_donation_id, status, recovery_path, review_reason, virtuous_gift_id)
		FROM virtuous_donation_queue WHERE customer_id = $1 ORDER BY id`, customer)
}

func (f *fixture) logged(t testing.TB, customer string) []string {
	t.Helper()
	return column[string](t, f, `SELECT concat_ws(' ', category, platform_record_id, virtuous_record_id, resolution)
		FROM virtuous_reconciliation_log WHERE customer_id = $1 ORDER BY id`, customer)
}

func (f *fixture) alerts(t testing.TB, customer string) []string {
	t.Helper()
	return column[string](t, f, `SELECT type FROM alerts WHERE customer_id = $1 AND cleared_at IS NULL ORDER BY type`, customer)
}
