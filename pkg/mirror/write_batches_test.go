package mirror_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/destination"
	"rollcall.dev/pkg/destination/rest"
	"rollcall.dev/pkg/mirror"
)

// newBatchFixture returns a fixture whose destination accepts batches of that size.
func newBatchFixture(t *testing.T, size int) *fixture {
	t.Helper()
	f := newFixture(t)
	f.newExecution(t, size)
	return f
}

// newExecution gives the fixture a lane as a new run execution has it, with a closed breaker.
func (f *fixture) newExecution(t *testing.T, size int) {
	t.Helper()
	transport := rest.NewTransport(destination.PrivateAccess{All: true})
	t.Cleanup(transport.CloseIdleConnections)
	plain, err := rest.New(rest.Config{URL: f.crm.server.URL, Transport: transport, BatchSize: size})
	require.NoError(t, err)
	breakers := destination.NewBreakers(destination.BreakersConfig{})
	f.Lane = &mirror.Lane{
		Store: f.Store, Lease: f.Lease, Customer: f.Customer, Job: f.Job, JobID: f.JobID, TraceID: f.TraceID, Operation: f.Operation,
		Destination: destination.NewGuard(plain, destination.GuardConfig{Key: customer, Breakers: breakers, Timer: noWait}),
		Trips:       func() uint64 { return breakers.Trips(customer) },
		HashKey:     f.HashKey, Concurrency: f.Concurrency,
	}
}

// serveBatch answers each record of a batch like a single record, with the status next to the code.
func (c *crm) serveBatch(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	var request struct{ Users []destination.Record }
	if err != nil || json.Unmarshal(body, &request) != nil {
		w.WriteHeader(http.StatusTeapot)
		return
	}
	ids := make([]string, 0, len(request.Users))
	for _, record := range request.Users {
		ids = append(ids, strings.TrimPrefix(record.ExternalID, "vomo-"))
	}
	c.mu.Lock()
	c.batches = append(c.batches, ids)
	answer, whole := c.answer, c.batchAnswer
	c.mu.Unlock()
	if whole != nil {
		status, text := whole(ids)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, text)
		return
	}
	results := make([]string, 0, len(ids))
	for i, id := range ids {
		status, text := answer(id, r)
		if status != http.StatusOK {
			results = append(results, fmt.Sprintf(`{"error":{"code":"code_%d","message":"no","status":%d}}`, status, status))
			continue
		}
		results = append(results, text)
		c.mu.Lock()
		c.records[id] = request.Users[i]
		c.mu.Unlock()
	}
	c.writeRetryAfter(w)
	_, _ = io.WriteString(w, `{"results":[`+strings.Join(results, ",")+`]}`)
}

func (c *crm) setBatchAnswer(answer func(ids []string) (int, string)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.batchAnswer = answer
}

func (c *crm) batchRequests() [][]string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.batches)
}

func TestPageIsWrittenInBatchesOfTheConfiguredSize(t *testing.T) {
	t.Parallel()
	f := newBatchFixture(t, 6)

	require.Equal(t, 15, f.mustApply(t, users(15)...).Written)

	sizes := []int{}
	for _, batch := range f.crm.batchRequests() {
		sizes = append(sizes, len(batch))
	}
	require.ElementsMatch(t, []int{6, 6, 3}, sizes)
	require.Empty(t, f.crm.requests(), "no record is written alone")
	require.Equal(t, []string{"crm-9"}, queryColumn[string](t, f, `SELECT external_user_id FROM user_mappings WHERE vomo_user_id = '9'`))
	require.Equal(t, 15, f.mustApply(t, users(15)...).Skipped)
}

func TestBatchAcceptsSomeRecordsRejectsOneAndRetriesAnother(t *testing.T) {
	t.Parallel()
	f := newBatchFixture(t, 15)
	f.crm.setAnswer(func(id string, r *http.Request) (int, string) {
		switch id {
		case "4":
			return unprocessable, `{"code":"code_422"}`
		case "7":
			return unavailable, ""
		}
		return accept(id, r)
	})

	outcome := f.mustApply(t, users(15)...)

	require.Equal(t, mirror.Outcome{Written: 13, Failed: 2, HighestSeen: outcome.HighestSeen}, withoutIDs(outcome))
	require.Equal(t, []string{"7", "7", "7"}, f.crm.requests(), "a retryable record is retried alone")
	letters := f.letters(t)
	require.Equal(t, []string{"4", "7"}, []string{letters[0].Record, letters[1].Record})
	require.Equal(t, []string{"permanent", "retryable"}, []string{letters[0].Class, letters[1].Class})
	require.Equal(t, "code_422", letters[0].Code)
}

func TestBatchRejectedAsAWholeIsWrittenOneByOne(t *testing.T) {
	t.Parallel()
	f, execution := newBatchFixture(t, 15), 0
	for name, answer := range map[string]func(ids []string) (int, string){
		"no such endpoint":   func([]string) (int, string) { return http.StatusNotFound, "" },
		"too large":          func([]string) (int, string) { return http.StatusRequestEntityTooLarge, "" },
		"server error":       func([]string) (int, string) { return http.StatusInternalServerError, "" },
		"too few results":    func(ids []string) (int, string) { return http.StatusOK, successResults(len(ids) - 1) },
		"too many results":   func(ids []string) (int, string) { return http.StatusOK, successResults(len(ids) + 1) },
		"no results":         func([]string) (int, string) { return http.StatusOK, `{}` },
		"an HTML page":       func([]string) (int, string) { return http.StatusOK, `<html>` },
		"stale, all of them": func([]string) (int, string) { return http.StatusConflict, `{"code":"stale"}` },
		"empty results": func(ids []string) (int, string) {
			return http.StatusOK, `{"results":[` + strings.Repeat("{},", len(ids)-1) + `null]}`
		},
	} {
		bad := strconv.Itoa(15*execution + 3)
		f.newExecution(t, 15)
		f.crm.forgetRequests()
		f.crm.respond(unprocessable, "", bad)
		f.crm.setBatchAnswer(answer)

		outcome := f.mustApply(t, users(15*execution + 15)[15*execution:]...)

		require.Equal(t, 14, outcome.Written, name)
		require.Equal(t, 1, outcome.Failed, name)
		require.Len(t, f.crm.requests(), 15, name)
		require.Equal(t, []string{bad}, queryColumn[string](t, f, `SELECT record_id FROM dead_letters WHERE record_id = $1`, bad), name)
		execution++
	}
	require.Len(t, f.letters(t), execution)
}

// successResults returns the answer to a batch that accepts count records.
func successResults(count int) string {
	return `{"results":[` + strings.TrimSuffix(strings.Repeat(`{"id":"x"},`, count), ",") + `]}`
}

func TestDestinationWithoutBatchesGetsOneBatchPerExecution(t *testing.T) {
	t.Parallel()
	f := newBatchFixture(t, 15)
	f.crm.setBatchAnswer(func([]string) (int, string) { return http.StatusNotFound, "" })
	f.mustApply(t, users(15)...)
	f.mustApply(t, users(30)[15:]...)
	require.Len(t, f.crm.batchRequests(), 1)
	require.Len(t, f.crm.requests(), 30)
}

func TestBatchThatMeetsTheDestinationsFaultParksThePage(t *testing.T) {
	t.Parallel()
	f := newBatchFixture(t, 15)
	f.crm.respond(unavailable, "")
	for name, c := range map[string]struct {
		status int
		body   string
		want   error
	}{
		"unauthorised": {http.StatusUnauthorized, "", mirror.ErrDestinationAuth},
		"forbidden":    {http.StatusForbidden, "", mirror.ErrDestinationAuth},
		"a record unauthorised": {http.StatusOK, strings.Replace(successResults(15), `{"id":"x"}`, `{"error":{"code":"unauthorized"}}`, 1),
			mirror.ErrDestinationAuth},
		"throttled":             {http.StatusTooManyRequests, "", mirror.ErrDestinationThrottled},
		"down, also one by one": {unavailable, "", mirror.ErrDestinationDown},
		"each record unavailable": {http.StatusOK, strings.ReplaceAll(successResults(15), `{"id":"x"}`, `{"error":{"code":"unavailable"}}`),
			mirror.ErrDestinationDown},
		"each record rejected with the same code": {http.StatusOK, strings.ReplaceAll(successResults(15), `{"id":"x"}`, `{"error":{"code":"no_such_list"}}`),
			mirror.ErrDestinationDown},
	} {
		f.newExecution(t, 15)
		f.crm.setBatchAnswer(func([]string) (int, string) { return c.status, c.body })

		_, err := f.apply(t, page(1, users(15)...), mirror.ApplyOptions{})

		require.ErrorIs(t, err, c.want, name)
	}
	f.requireNothingCommitted(t)
}

func TestProbeIsOneRecordEvenIfBatchesAreAccepted(t *testing.T) {
	t.Parallel()
	f := newBatchFixture(t, 15)
	f.crm.respond(unavailable, "")
	_, err := f.apply(t, page(1, users(15)...), mirror.ApplyOptions{Probe: true, PresumeOutage: true})
	require.ErrorIs(t, err, mirror.ErrDestinationDown)
	require.Empty(t, f.crm.batchRequests())

	f.crm.acceptAll()
	f.crm.forgetRequests()
	outcome, err := f.apply(t, page(1, users(15)...), mirror.ApplyOptions{Probe: true, PresumeOutage: true})
	require.NoError(t, err)
	require.Equal(t, 15, outcome.Written)
	require.Len(t, f.crm.requests(), 1)
	require.Len(t, f.crm.batchRequests()[0], 14)
}
