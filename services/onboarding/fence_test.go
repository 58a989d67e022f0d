package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"path"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"rollcall.dev/pkg/budget"
	"rollcall.dev/pkg/connector"
	"rollcall.dev/pkg/destination"
	"rollcall.dev/pkg/destination/rest"
	"rollcall.dev/pkg/job"
	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/scan"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/telemetry"
	"rollcall.dev/pkg/worker"
)

// sourceAndDestination is a VOMO that returns each customer's users in one version, and a slow CRM that also completes the writes
// of clients that have disconnected.
type sourceAndDestination struct {
	server *httptest.Server

	mu       sync.Mutex
	version  map[string]int            // the version that VOMO returns, by customer
	held     map[string]map[string]int // the version that the CRM has, by customer and user
	writing  map[string]int            // writes under way
	backward []string
}

const fenceUsers = 6

func newSourceAndDestination(t *testing.T) *sourceAndDestination {
	t.Helper()
	b := &sourceAndDestination{version: map[string]int{}, held: map[string]map[string]int{}, writing: map[string]int{}}
	b.server = httptest.NewServer(b)
	t.Cleanup(b.server.Close)
	return b
}

func (b *sourceAndDestination) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPut {
		b.put(w, r)
		return
	}
	customer, _, _ := strings.Cut(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "), ".")
	b.mu.Lock()
	version := b.version[customer]
	b.mu.Unlock()
	data := []map[string]any{}
	for id := 1; id <= fenceUsers; id++ {
		data = append(data, map[string]any{
			"id": id, "first_name": "First", "last_name": "Last", "email": fmt.Sprintf("u%d@example.org", id), "phone": strconv.Itoa(version),
			"user_status": nil, "membership_role": nil, "created_at": "2025-01-01T00:00:00Z",
			"updated_at": time.Date(2026, 1, 1, 0, version, 0, 0, time.UTC).Format(time.RFC3339),
		})
	}
	// The order is random, so that the next holder may overtake the previous one.
	rand.Shuffle(len(data), func(i, j int) { data[i], data[j] = data[j], data[i] })
	_ = json.NewEncoder(w).Encode(map[string]any{"data": data, "meta": map[string]any{"total": len(data), "per_page": 15}})
}

func (b *sourceAndDestination) put(w http.ResponseWriter, r *http.Request) {
	id, customer := path.Base(r.URL.Path), strings.Split(r.URL.Path, "/")[1]
	var record struct{ Phone string }
	body, err := io.ReadAll(r.Body)
	if err != nil || json.Unmarshal(body, &record) != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	var version int
	_, _ = fmt.Sscan(record.Phone, &version)
	b.mu.Lock()
	b.writing[customer]++
	b.mu.Unlock()
	<-time.After(rand.N(400 * time.Millisecond)) // the write is slow
	b.mu.Lock()
	defer b.mu.Unlock()
	b.writing[customer]--
	if b.held[customer] == nil {
		b.held[customer] = map[string]int{}
	}
	if version < b.held[customer][id] {
		b.backward = append(b.backward, fmt.Sprintf("%s %s: %d after %d", customer, id, version, b.held[customer][id]))
	}
	b.held[customer][id] = version
	_, _ = io.WriteString(w, `{"id":"crm-`+id+`"}`)
}

func (b *sourceAndDestination) setVersion(customer string, version int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.version[customer] = version
}

// isSettledAt returns whether the CRM has all users of the customer in this version, and no write is under way.
func (b *sourceAndDestination) isSettledAt(customer string, version int) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, held := range b.held[customer] {
		if held != version {
			return false
		}
	}
	return len(b.held[customer]) == fenceUsers && b.writing[customer] == 0
}

func (b *sourceAndDestination) isBusy(customer string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.writing[customer] > 0
}

// rereadKind is a poll that reads all users each time, because its end does not move the checkpoint.
func rereadKind() job.Kind {
	reread := job.Scan{OnDone: func(context.Context, *store.Tx, store.Run, scan.Step) error { return nil }}
	return job.Kind{
		Name: store.KindPoll, Job: job.Always(store.JobPoll), Serves: store.Customer.Steady, Message: job.PollMessage, Work: reread.Work,
		Start: func(ctx context.Context, tx *store.Tx, customer store.Customer) error {
			_, err := tx.StartRuns(ctx, store.RunStart{
				Kind: store.KindPoll, Job: store.JobPoll, Customers: []string{customer.ID}, TraceIDs: []string{telemetry.TraceParent(ctx)},
			})
			return err
		},
	}
}

// fenceFixture is an onboarding service and two replicas that work on its customers.
type fenceFixture struct {
	*intakeFixture
	sides     *sourceAndDestination
	operators *operators
	settler   *settler
	pool      *pgxpool.Pool
	replicas  [2]*job.Runner
}

func newFenceFixture(t *testing.T) *fenceFixture {
	t.Helper()
	f := &fenceFixture{intakeFixture: newIntakeFixture(t), sides: newSourceAndDestination(t)}
	var err error
	f.pool, err = pgxpool.New(t.Context(), f.database)
	require.NoError(t, err)
	t.Cleanup(f.pool.Close)
	limits := budget.Limits{PerSecond: 10_000}
	f.operators = &operators{store: f.store, vault: f.vault, logger: zap.NewNop(), holder: "onboarding-1", leaseFor: time.Minute}
	f.settler = &settler{
		store: f.store, vault: f.vault, logger: zap.NewNop(), slots: 4, wake: make(chan struct{}, 1), vomoBaseURL: f.sides.server.URL, limits: limits,
	}
	transport := rest.NewTransport(destination.PrivateAccess{All: true})
	t.Cleanup(transport.CloseIdleConnections)
	for i := range f.replicas {
		f.replicas[i] = &job.Runner{
			Store: f.store, Logger: zap.NewNop(), Holder: fmt.Sprint("poller-", i), LeaseFor: 10 * time.Second, Kind: rereadKind(),
			Connect: &connector.Connector{
				Store: f.store, Vault: f.vault, Logger: zap.NewNop(), VomoBaseURL: f.sides.server.URL, Timeout: 4 * time.Second,
				Limits: limits, Concurrency: 2, Breakers: destination.NewBreakers(destination.BreakersConfig{}),
				RetryCaps: store.RetryCaps{Attempts: 12, Age: time.Hour},
				Opener: &destination.Opener{Factories: map[string]destination.Factory{
					"rest": rest.Factory(rest.Config{Transport: transport, Timeout: 4 * time.Second}, destination.PrivateAccess{All: true}),
				}},
			},
		}
	}
	return f
}

// addPolledCustomer adds a customer that is polled.
func (f *fenceFixture) addPolledCustomer(t *testing.T, customer string) {
	t.Helper()
	sealed, err := f.vault.Seal(t.Context(), customer, store.CredentialVomoToken, []byte(customer+".0ld"))
	require.NoError(t, err)
	for statement, argument := range map[string]any{
		`WITH config AS (INSERT INTO sync_configs (customer_id, external_system_url, destination, onboarded_at, updated_at,
			backfill_completed_at, active_since) SELECT $1, $2, jsonb_build_object('kind', 'rest', 'url', $2::text), a, b, c, d
			FROM (SELECT now() AS a, now() AS b, now() AS c, now() AS d) t)
		INSERT INTO sync_checkpoints VALUES ($1, 'user_sync', '2025-12-01', now())`: f.sides.server.URL + "/" + customer,
		`INSERT INTO credentials VALUES ($1, 'vomo_token', $2, now())`: sealed,
	} {
		_, err := f.pool.Exec(t.Context(), statement, customer, argument)
		require.NoError(t, err)
	}
}

// round changes the customer's users, and runs an action on the customer at a random moment while a page is written.
func (f *fenceFixture) round(t *testing.T, number int) error {
	t.Helper()
	ctx, customer := t.Context(), fmt.Sprint("acme-", number)
	f.sides.setVersion(customer, 1)
	if err := f.replicas[0].Work(ctx, &worker.Delivery{}, customer, 0); err != nil {
		return err
	}
	f.sides.setVersion(customer, 2)
	working, stop := context.WithCancel(ctx)
	var workers sync.WaitGroup
	defer workers.Wait()
	defer stop()
	for _, replica := range f.replicas {
		workers.Go(func() {
			for working.Err() == nil {
				_ = replica.Work(working, &worker.Delivery{}, customer, 0) // unfinished work is repeated, as after a redelivery
				<-time.After(10 * time.Millisecond)
			}
		})
	}
	for !f.sides.isBusy(customer) {
		<-time.After(time.Millisecond)
	}
	<-time.After(rand.N(300 * time.Millisecond))
	f.sides.setVersion(customer, 3)
	began := time.Now()
	if err := f.runAction(ctx, number, customer); err != nil {
		return err
	}
	if took := time.Since(began); took > 5*time.Second {
		return fmt.Errorf("round %d: it took %v, as if it waited for the job", number, took)
	}
	for deadline := time.Now().Add(time.Minute); !f.sides.isSettledAt(customer, 3); <-time.After(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			return fmt.Errorf("round %d: the CRM does not hold the newest version", number)
		}
	}
	return nil
}

// runAction runs one of the three actions.
func (f *fenceFixture) runAction(ctx context.Context, number int, customer string) error {
	message := func(body string) error {
		return f.commit(ctx, &worker.Delivery{
			Subject: "rollcall.onboarding.request." + customer, Data: []byte(body), Stream: "ROLLCALL_ONBOARDING",
			Sequence: uint64(number) + 1, Deliveries: 1,
		}, streamCreated, false, &store.Act{})
	}
	switch number % 3 {
	case 0:
		if _, err := f.operators.pauseCustomer(ctx, operatorapi.CustomerCommand{CustomerID: customer}); err != nil {
			return err
		}
		_, err := f.operators.resumeCustomer(ctx, operatorapi.CustomerCommand{CustomerID: customer})
		return err
	case 1:
		return message(`{"customerId":"` + customer + `","vomoToken":"` + customer + `.n3w"}`)
	}
	return message(`{"customerId":"` + customer + `","vomoToken":"` + customer + `.0ld","externalSystemUrl":"http://127.0.0.1:1/elsewhere"}`)
}

// fenceRounds is how many customers an action meets at a random moment of their work.
var fenceRounds = flag.Int("fence-rounds", 40, "customers whose work an action fences")

func TestFencedWorkerNeverWritesOlderVersionAfterNewerOne(t *testing.T) {
	t.Parallel()
	f := newFenceFixture(t)
	const atOnce = 25
	rounds := *fenceRounds
	for number := range rounds {
		f.addPolledCustomer(t, fmt.Sprint("acme-", number))
	}
	settling, stop := context.WithCancel(t.Context())
	var background sync.WaitGroup
	background.Go(func() { f.settler.run(settling) })
	defer background.Wait()
	defer stop()
	numbers, failures := make(chan int), make(chan error, rounds)
	var running sync.WaitGroup
	for range atOnce {
		running.Go(func() {
			for number := range numbers {
				failures <- f.round(t, number)
			}
		})
	}
	for number := range rounds {
		numbers <- number
	}
	close(numbers)
	running.Wait()
	close(failures)
	for err := range failures {
		require.NoError(t, err)
	}
	require.Empty(t, f.sides.backward)
}

func TestRejectedOnboardingFencesNothing(t *testing.T) {
	t.Parallel()
	f := newFenceFixture(t)
	f.addPolledCustomer(t, "acme-2")
	f.sides.setVersion("acme-2", 1)
	require.NoError(t, f.replicas[0].Work(t.Context(), &worker.Delivery{}, "acme-2", 0))
	lease, err := f.store.TakeLease(t.Context(), "acme-2", "poller-1", time.Minute)
	require.NoError(t, err)

	require.NoError(t, f.runAction(t.Context(), 2, "acme-2"))
	pending, err := f.store.ClaimDueRequest(t.Context(), time.Minute)
	require.NoError(t, err)
	require.NoError(t, f.settler.settle(t.Context(), pending))

	require.Equal(t, 1, f.count(t, `SELECT count(*) FROM onboarding_requests WHERE state = 'rejected'`))
	require.NoError(t, f.store.InLane(t.Context(), lease, func(context.Context, *store.Tx) error { return nil }))
}
