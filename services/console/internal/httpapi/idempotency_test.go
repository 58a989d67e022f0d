package httpapi

import (
	"context"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"rollcall.dev/pkg/config"
	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/retention"
	"rollcall.dev/pkg/service"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/testkit"
	"rollcall.dev/pkg/vault"
	"rollcall.dev/services/console/internal/access"
)

// idempotent is the API with a database whose clock stands still until the test moves it.
type idempotent struct {
	*fixture

	store  *store.Store
	vault  *vault.Vault
	conn   *pgx.Conn
	paused int // how often customers.pause was asked
	answer func() *rejection
}

func newIdempotent(t *testing.T) *idempotent {
	t.Helper()
	url := testkit.Database(t)
	opened, err := store.Open(t.Context(), url, store.Options{MaxConns: 4})
	require.NoError(t, err)
	t.Cleanup(opened.Close)
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, conn.Close(context.WithoutCancel(t.Context()))) })
	keeper, err := vault.OpenKeeper(t.Context(), "dev:"+filepath.Join(t.TempDir(), "key"))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, keeper.Close()) })
	f := &idempotent{
		fixture: newFixture(t), store: opened, vault: &vault.Vault{Keeper: keeper, Keys: opened}, conn: conn, answer: func() *rejection { return nil },
	}
	f.exec(`CREATE TABLE test_clock (at timestamptz NOT NULL)`)
	f.exec(`INSERT INTO test_clock VALUES ('2026-03-02 09:30:00Z')`)
	f.exec(`CREATE OR REPLACE FUNCTION rollcall_now() RETURNS timestamptz LANGUAGE sql STABLE AS 'SELECT at FROM test_clock'`)
	f.restart()
	var mu sync.Mutex
	answers(f.fixture, "customers", "pause", func(_ string, question operatorapi.CustomerCommand) (operatorapi.CustomerCommanded, *rejection) {
		mu.Lock()
		defer mu.Unlock()
		f.paused++
		at := fixedTime().Add(time.Duration(f.paused) * time.Second)
		return operatorapi.CustomerCommanded{CustomerID: question.CustomerID, Action: operatorapi.CustomerPaused, PausedAt: &at}, f.answer()
	})
	return f
}

// restart replaces the console's process, as far as the API has something in memory.
func (f *idempotent) restart() {
	f.handler, f.document = build(Deps{Conn: f.nats.Conn(f.t), Logger: zap.NewNop(), Store: f.store, Vault: f.vault, KeyAge: 24 * time.Hour})
}

func (f *idempotent) exec(statement string) {
	f.t.Helper()
	_, err := f.conn.Exec(f.t.Context(), statement)
	require.NoError(f.t, err)
}

func (f *idempotent) advance(by string) {
	f.exec(`UPDATE test_clock SET at = at + interval '` + by + `'`)
}

func (f *idempotent) pause(customer, key string, by access.Principal) answer {
	f.t.Helper()
	return f.post("/customers/"+customer+"/pause", "", by, "Idempotency-Key", key)
}

func TestSameRequestWithTheSameKeyIsDoneOnceAlsoAfterARestart(t *testing.T) {
	t.Parallel()
	f := newIdempotent(t)
	first := f.pause("acme", "k-1", administrator())
	require.Equal(t, http.StatusOK, first.status, string(first.body))
	require.Empty(t, first.header.Get("Idempotent-Replayed"))
	f.restart()
	again := f.pause("acme", "k-1", administrator())
	require.Equal(t, first.body, again.body)
	require.Equal(t, first.status, again.status)
	require.Equal(t, first.header.Get("Content-Type"), again.header.Get("Content-Type"))
	require.Equal(t, "true", again.header.Get("Idempotent-Replayed"))
	require.Equal(t, 1, f.paused)

	other := f.pause("globex", "k-1", administrator())
	require.Equal(t, http.StatusUnprocessableEntity, other.status)
	require.Contains(t, string(other.body), "another request")
	require.NotContains(t, string(other.body), "acme")
	require.Equal(t, http.StatusOK, f.pause("acme", "k-2", administrator()).status)
	require.Equal(t, 2, f.paused)

	f.advance("24 hours")
	require.Equal(t, http.StatusOK, f.pause("globex", "k-1", administrator()).status, "a day later the key is free")
	require.Equal(t, 3, f.paused)
}

func TestKeyIsOfOnePrincipalAndNotAskedWithoutItsRight(t *testing.T) {
	t.Parallel()
	f := newIdempotent(t)
	may := of("acme", access.Read, access.Pause)
	require.Equal(t, http.StatusOK, f.pause("acme", "k-1", administrator()).status)
	theirs := f.pause("acme", "k-1", may)
	require.Equal(t, http.StatusOK, theirs.status)
	require.Empty(t, theirs.header.Get("Idempotent-Replayed"))
	require.Equal(t, 2, f.paused)
	require.Equal(t, http.StatusForbidden, f.pause("acme", "k-1", of("acme", access.Read)).status, "the right was taken away")
}

func TestOfTwoAtOnceOneActs(t *testing.T) {
	t.Parallel()
	f := newIdempotent(t)
	begun, end := make(chan struct{}), make(chan struct{})
	f.answer = func() *rejection {
		close(begun)
		<-end
		return nil
	}
	first := make(chan answer)
	go func() { first <- f.pause("acme", "k-1", administrator()) }()
	<-begun
	second := f.pause("acme", "k-1", administrator())
	require.Equal(t, http.StatusConflict, second.status)
	require.Equal(t, "60", second.header.Get("Retry-After"))
	close(end)
	acted := <-first
	require.Equal(t, http.StatusOK, acted.status)
	require.Equal(t, acted.body, f.pause("acme", "k-1", administrator()).body)
	require.Equal(t, 1, f.paused)
}

func TestKeyOfARequestThatDiedIsFreeAfterAMinute(t *testing.T) {
	t.Parallel()
	f := newIdempotent(t)
	require.Equal(t, http.StatusOK, f.pause("acme", "k-1", administrator()).status)
	f.exec(`UPDATE idempotency_keys SET status = NULL, answer_sealed = NULL`) // as if the process had died after the act
	require.Equal(t, http.StatusConflict, f.pause("acme", "k-1", administrator()).status)
	f.advance("1 minute")
	require.Equal(t, http.StatusUnprocessableEntity, f.pause("globex", "k-1", administrator()).status, "still not for another request")
	require.Equal(t, http.StatusOK, f.pause("acme", "k-1", administrator()).status)
	require.Equal(t, 2, f.paused)
}

func TestRejectionIsKeptAndAFailureIsNot(t *testing.T) {
	t.Parallel()
	f := newIdempotent(t)
	refused := &rejection{code: service.CodeConflict, text: "it was offboarded"}
	f.answer = func() *rejection { return refused }
	require.Equal(t, http.StatusConflict, f.pause("acme", "k-1", administrator()).status)
	refused = nil
	again := f.pause("acme", "k-1", administrator())
	require.Equal(t, http.StatusConflict, again.status)
	require.Equal(t, "application/problem+json", again.header.Get("Content-Type"))
	require.Contains(t, string(again.body), "it was offboarded")

	refused = &rejection{code: service.CodeBusy, text: "another change is under way"}
	require.Equal(t, http.StatusServiceUnavailable, f.pause("acme", "k-2", administrator()).status)
	refused = nil
	require.Equal(t, http.StatusOK, f.pause("acme", "k-2", administrator()).status)
	require.Equal(t, 3, f.paused)
}

func TestAnswerIsSealedAndKnownToBeOfItsCustomer(t *testing.T) {
	t.Parallel()
	f := newIdempotent(t)
	answers(f.fixture, "links", "add", func(_ string, question operatorapi.LinkAddition) (operatorapi.LinkAdded, *rejection) {
		return operatorapi.LinkAdded{Link: operatorapi.Link{CustomerID: question.CustomerID}, URL: "https://console.example/link/very-secret"}, nil
	})
	link := func() answer {
		return f.post("/links", `{"customerId":"acme"}`, administrator(), "Idempotency-Key", "k-1")
	}
	first := link()
	require.Contains(t, string(first.body), "very-secret")
	require.Equal(t, string(first.body), string(link().body))
	var row, customer string
	require.NoError(t, f.conn.QueryRow(t.Context(), `SELECT k::text, customer_id FROM idempotency_keys k`).Scan(&row, &customer))
	require.NotContains(t, row, "very-secret")
	require.NotContains(t, row, "k-1")
	require.Equal(t, "acme", customer, "an offboarding finds it")
}

func TestOffboardingAndAgeDeleteWhatWasAnswered(t *testing.T) {
	t.Parallel()
	f := newIdempotent(t)
	count := func() (rows int) {
		require.NoError(t, f.conn.QueryRow(t.Context(), `SELECT count(*) FROM idempotency_keys`).Scan(&rows))
		return rows
	}
	f.exec(`INSERT INTO sync_configs (customer_id, external_system_url, destination, onboarded_at, updated_at) VALUES ('acme', '', '{}', now(), now())`)
	f.pause("acme", "k-1", administrator())
	f.pause("globex", "k-2", administrator())
	require.NoError(t, f.store.InTx(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		_, err := tx.OffboardCustomer(ctx, "acme")
		return err
	}))
	require.Equal(t, 1, count(), "the other customer's stays")
	f.pause("acme", "k-1", administrator())
	require.Equal(t, 1, count(), "nothing is kept of an offboarded customer")
	f.advance("25 hours")
	settings, err := config.Load(nil)
	require.NoError(t, err)
	pruner := retention.Pruner{Store: f.store, Logger: zap.NewNop(), Rules: retention.Rules(settings)}
	pruner.Round(t.Context())
	require.Zero(t, count())
}

func TestKeyThatIsNoneIsRejectedAndABodyThatIsTooLongIsSaidToBe(t *testing.T) {
	t.Parallel()
	f := newIdempotent(t)
	for _, key := range []string{strings.Repeat("k", 256), "caf\xe9", "a\tb"} {
		got := f.checked(http.MethodPost, "/customers/acme/pause", "", administrator(), "Idempotency-Key", key)
		require.Equal(t, http.StatusUnprocessableEntity, got.status, key)
		require.Contains(t, string(got.body), "header.Idempotency-Key")
	}
	long := `{"customerId":"` + strings.Repeat("x", 70<<10) + `"}`
	require.Equal(t, http.StatusRequestEntityTooLarge, f.checked(http.MethodPost, "/links", long, administrator(), "Idempotency-Key", "k-1").status)
	require.Zero(t, f.paused)
	for _, op := range operations(f.document) {
		if op.method == http.MethodPost {
			require.Contains(t, op.headers, "Idempotency-Key", op.id)
		}
	}
}
