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

// newBatchHouse is a house whose CRM takes batches of that size.
func newBatchHouse(t *testing.T, size int) *house {
	t.Helper()
	h := newHouse(t)
	h.nextTurn(t, size)
	return h
}

// nextTurn gives the house a lane as a new turn has it: nothing is known of the destination, its breaker is shut.
func (h *house) nextTurn(t *testing.T, size int) {
	t.Helper()
	transport := rest.NewTransport(destination.PrivateAccess{All: true})
	t.Cleanup(transport.CloseIdleConnections)
	plain, err := rest.New(rest.Config{URL: h.crm.server.URL, Transport: transport, BatchSize: size})
	require.NoError(t, err)
	breakers := destination.NewBreakers(destination.BreakersConfig{})
	h.Lane = &mirror.Lane{
		Store: h.Store, Lease: h.Lease, Customer: h.Customer, Job: h.Job, JobID: h.JobID, TraceID: h.TraceID, Operation: h.Operation,
		Destination: destination.NewGuard(plain, destination.GuardConfig{Key: customer, Breakers: breakers, Timer: atOnce}),
		Trips:       func() uint64 { return breakers.Trips(customer) },
		HashKey:     h.HashKey, Concurrency: h.Concurrency,
	}
}

// serveBatch answers each record of a batch as the CRM answers a single one, with its status beside the code.
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
		c.holds[id] = request.Users[i]
		c.mu.Unlock()
	}
	c.writePause(w)
	_, _ = io.WriteString(w, `{"results":[`+strings.Join(results, ",")+`]}`)
}

func (c *crm) answersBatches(answer func(ids []string) (int, string)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.batchAnswer = answer
}

func (c *crm) sawBatches() [][]string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.batches)
}

func TestAPageGoesInBatchesOfTheConfiguredSize(t *testing.T) {
	t.Parallel()
	h := newBatchHouse(t, 6)

	require.Equal(t, 15, h.applied(t, users(15)...).Written)

	sizes := []int{}
	for _, batch := range h.crm.sawBatches() {
		sizes = append(sizes, len(batch))
	}
	require.ElementsMatch(t, []int{6, 6, 3}, sizes)
	require.Empty(t, h.crm.saw(), "and no record by itself")
	require.Equal(t, []string{"crm-9"}, values[string](t, h, `SELECT external_user_id FROM user_mappings WHERE vomo_user_id = '9'`))
	require.Equal(t, 15, h.applied(t, users(15)...).Skipped)
}

func TestOneRecordOfABatchIsRefusedAnotherComesLaterAndTheOthersAreTaken(t *testing.T) {
	t.Parallel()
	h := newBatchHouse(t, 15)
	h.crm.answers(func(id string, r *http.Request) (int, string) {
		switch id {
		case "4":
			return unprocessable, `{"code":"code_422"}`
		case "7":
			return unavailable, ""
		}
		return takes(id, r)
	})

	outcome := h.applied(t, users(15)...)

	require.Equal(t, mirror.Outcome{Written: 13, Failed: 2, HighestSeen: outcome.HighestSeen}, counted(outcome))
	require.Equal(t, []string{"7", "7", "7"}, h.crm.saw(), "what may yet succeed is tried again, by itself")
	letters := h.letters(t)
	require.Equal(t, []string{"4", "7"}, []string{letters[0].Record, letters[1].Record})
	require.Equal(t, []string{"permanent", "retryable"}, []string{letters[0].Class, letters[1].Class})
	require.Equal(t, "code_422", letters[0].Code)
}

func TestABatchThatIsRefusedAsAWholeIsWrittenOneByOne(t *testing.T) {
	t.Parallel()
	h, turn := newBatchHouse(t, 15), 0
	for name, answer := range map[string]func(ids []string) (int, string){
		"no such endpoint":   func([]string) (int, string) { return http.StatusNotFound, "" },
		"too large":          func([]string) (int, string) { return http.StatusRequestEntityTooLarge, "" },
		"stumbles":           func([]string) (int, string) { return http.StatusInternalServerError, "" },
		"too few results":    func(ids []string) (int, string) { return http.StatusOK, results(len(ids) - 1) },
		"too many results":   func(ids []string) (int, string) { return http.StatusOK, results(len(ids) + 1) },
		"no results":         func([]string) (int, string) { return http.StatusOK, `{}` },
		"a page for people":  func([]string) (int, string) { return http.StatusOK, `<html>` },
		"stale, all of them": func([]string) (int, string) { return http.StatusConflict, `{"code":"stale"}` },
		"empty results": func(ids []string) (int, string) {
			return http.StatusOK, `{"results":[` + strings.Repeat("{},", len(ids)-1) + `null]}`
		},
	} {
		bad := strconv.Itoa(15*turn + 3)
		h.nextTurn(t, 15)
		h.crm.forget()
		h.crm.says(unprocessable, "", bad)
		h.crm.answersBatches(answer)

		outcome := h.applied(t, users(15*turn + 15)[15*turn:]...)

		require.Equal(t, 14, outcome.Written, name)
		require.Equal(t, 1, outcome.Failed, name)
		require.Len(t, h.crm.saw(), 15, name)
		require.Equal(t, []string{bad}, values[string](t, h, `SELECT record_id FROM dead_letters WHERE record_id = $1`, bad), name)
		turn++
	}
	require.Len(t, h.letters(t), turn)
}

// results are as many that say nothing but success.
func results(count int) string {
	return `{"results":[` + strings.TrimSuffix(strings.Repeat(`{"id":"x"},`, count), ",") + `]}`
}

func TestADestinationThatTakesNoBatchesIsAskedForOneATurn(t *testing.T) {
	t.Parallel()
	h := newBatchHouse(t, 15)
	h.crm.answersBatches(func([]string) (int, string) { return http.StatusNotFound, "" })
	h.applied(t, users(15)...)
	h.applied(t, users(30)[15:]...)
	require.Len(t, h.crm.sawBatches(), 1)
	require.Len(t, h.crm.saw(), 30)
}

func TestABatchThatMeetsTheDestinationsFaultParksThePage(t *testing.T) {
	t.Parallel()
	h := newBatchHouse(t, 15)
	h.crm.says(unavailable, "")
	for name, c := range map[string]struct {
		status int
		body   string
		want   error
	}{
		"unauthorised":             {http.StatusUnauthorized, "", mirror.ErrDestinationAuth},
		"forbidden":                {http.StatusForbidden, "", mirror.ErrDestinationAuth},
		"a record unauthorised":    {http.StatusOK, strings.Replace(results(15), `{"id":"x"}`, `{"error":{"code":"unauthorized"}}`, 1), mirror.ErrDestinationAuth},
		"throttled":                {http.StatusTooManyRequests, "", mirror.ErrDestinationThrottled},
		"down, one by one as well": {unavailable, "", mirror.ErrDestinationDown},
		"each of them not now": {http.StatusOK, strings.ReplaceAll(results(15), `{"id":"x"}`, `{"error":{"code":"unavailable"}}`),
			mirror.ErrDestinationDown},
		"each of them refused alike": {http.StatusOK, strings.ReplaceAll(results(15), `{"id":"x"}`, `{"error":{"code":"no_such_list"}}`),
			mirror.ErrDestinationDown},
	} {
		h.nextTurn(t, 15)
		h.crm.answersBatches(func([]string) (int, string) { return c.status, c.body })

		_, err := h.apply(t, page(1, users(15)...), mirror.ApplyOptions{})

		require.ErrorIs(t, err, c.want, name)
	}
	h.requireNothingCommitted(t)
}

func TestAProbeIsOneRecordAlsoWhereBatchesAreTaken(t *testing.T) {
	t.Parallel()
	h := newBatchHouse(t, 15)
	h.crm.says(unavailable, "")
	_, err := h.apply(t, page(1, users(15)...), mirror.ApplyOptions{Probe: true, Lenient: true})
	require.ErrorIs(t, err, mirror.ErrDestinationDown)
	require.Empty(t, h.crm.sawBatches())

	h.crm.works()
	h.crm.forget()
	outcome, err := h.apply(t, page(1, users(15)...), mirror.ApplyOptions{Probe: true, Lenient: true})
	require.NoError(t, err)
	require.Equal(t, 15, outcome.Written)
	require.Len(t, h.crm.saw(), 1)
	require.Len(t, h.crm.sawBatches()[0], 14)
}
