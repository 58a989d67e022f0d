package acceptance_test

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/service"
)

// The full size, run by hand: go test ./services/acceptance -run Deletion -deletion-seeds 50 -deletion-users 2000.
var (
	deletionSeeds = flag.Int("deletion-seeds", 3, "how many organisations a test about deletions has")
	deletionUsers = flag.Int("deletion-users", 400, "users of each of them, one in fifty of them is deleted")
	deletionRPS   = flag.Int("deletion-rps", 12, "requests a second to VOMO while polls go on during a scan")
)

// askDeletions asks the operator API about deletion scans.
func askDeletions[Reply any](f *fixture, verb string, question any) (reply Reply, code string) {
	f.t.Helper()
	body, err := json.Marshal(question)
	require.NoError(f.t, err)
	answer, err := f.conn.Request(service.APISubject("deletions", verb), body, soon)
	require.NoError(f.t, err)
	if code = answer.Header.Get("Nats-Service-Error-Code"); code == "" {
		require.NoError(f.t, json.Unmarshal(answer.Data, &reply))
	}
	return reply, code
}

// awaitScan waits until the customer's nth scan is in that state, and returns it.
func (f *fixture) awaitScan(customer string, nth int, state string) operatorapi.DeletionRun {
	f.t.Helper()
	var run operatorapi.DeletionRun
	f.await(longest, fmt.Sprintf("scan %d of %s is %s", nth, customer, state), func() bool {
		runs, _ := askDeletions[operatorapi.DeletionsReply](f, "ls", operatorapi.DeletionsQuestion{CustomerID: customer})
		if len(runs.Deletions) < nth {
			return false
		}
		run = runs.Deletions[0]
		return run.State == state
	})
	return run
}

// deletedRecords returns the VOMO ids whose records are marked deleted at the CRM.
func (f *fixture) deletedRecords(customer string) map[string]bool {
	f.t.Helper()
	request, err := http.NewRequestWithContext(f.t.Context(), http.MethodGet, f.sandbox+"/control/crm/"+customer+"/users", http.NoBody)
	require.NoError(f.t, err)
	response, err := (&http.Client{Timeout: longest}).Do(request)
	require.NoError(f.t, err)
	deleted := map[string]bool{}
	for lines := bufio.NewScanner(response.Body); lines.Scan(); {
		var record struct {
			ExternalID string `json:"external_id"` //nolint:tagliatelle // the contract's name
			Deleted    bool   `json:"deleted"`
		}
		require.NoError(f.t, json.Unmarshal(lines.Bytes(), &record))
		if record.Deleted {
			deleted[strings.TrimPrefix(record.ExternalID, "vomo-")] = true
		}
	}
	require.NoError(f.t, response.Body.Close())
	return deleted
}

// deleteUsers deletes some of an organisation's users, chosen by chance, and returns their ids.
func (f *fixture) deleteUsers(organisation string, count int, chance *rand.Rand) []string {
	f.t.Helper()
	users := f.activeUsers(organisation)
	chance.Shuffle(len(users), func(i, j int) { users[i], users[j] = users[j], users[i] })
	ids := make([]string, 0, count)
	for _, user := range users[:count] {
		ids = append(ids, user.ID.String())
	}
	f.control(http.MethodPost, "/control/orgs/"+organisation+"/users:batch", map[string]any{"delete": ids}, nil)
	return ids
}

// shiftingPages returns changes during a scan that move users from page to page. Those that it deletes were read before.
func shiftingPages(chance *rand.Rand, pages int) map[string]any {
	steps := []map[string]any{}
	for after := 1; after < pages; after += 1 + chance.IntN(4) {
		switch chance.IntN(3) {
		case 0:
			steps = append(steps, map[string]any{"after": after, "delete": 1 + chance.IntN(2), "of": "read"})
		case 1:
			steps = append(steps, map[string]any{"after": after, "add": 1 + chance.IntN(4)})
		default:
			steps = append(steps, map[string]any{"after": after, "edit": 1 + chance.IntN(3), "of": "any"})
		}
	}
	return map[string]any{"seed": chance.Uint64() >> 1, "steps": steps}
}

// troubles are what VOMO answers instead of the 404 of a deleted user.
func troubles() []map[string]any {
	return []map[string]any{
		{"kind": "status", "status": 500}, {"kind": "status", "status": 403}, {"kind": "revoked"}, {"kind": "drop"},
		{"kind": "latency", "delayMs": 4000}, // longer than a request may take
	}
}

func TestOnlyDeletedUsersAreDeletedWhateverVOMOAnswers(t *testing.T) {
	t.Parallel()
	settings := maps.Clone(fast)
	settings["CLAIM_TIMEOUT"] = "5s" // a request has 2 s
	f := newFixture(t, settings)
	f.start(programOnboarding)
	f.start(programBackfill, map[string]string{"BACKFILL_SLOTS": "8"})
	f.start(programReconciler)
	customers := make([]string, 0, *deletionSeeds)
	for seed := range *deletionSeeds {
		customer := fmt.Sprintf("seed-%d", seed)
		customers = append(customers, customer)
		f.control(http.MethodPost, "/control/orgs", map[string]any{
			"name": customer, "token": customer + "-token", "users": *deletionUsers, "seed": seed + 1, "order": []string{"id", "newest"}[seed%2],
		}, nil)
		f.onboard(customer)
	}
	deleted, silent := map[string][]string{}, map[string]map[string]bool{}
	for seed, customer := range customers {
		f.awaitState(customer, "completed", longest)
		chance := rand.New(rand.NewPCG(uint64(seed), 1))
		deleted[customer] = f.deleteUsers(customer, *deletionUsers/50, chance)
		silent[customer] = map[string]bool{}
		for i, trouble := range troubles() {
			trouble["target"], trouble["org"], trouble["records"] = "vomo", customer, deleted[customer][i:i+1]
			f.control(http.MethodPost, "/control/faults", trouble, nil)
			silent[customer][deleted[customer][i]] = true
		}
		f.control(http.MethodPut, "/control/orgs/"+customer+"/life", shiftingPages(chance, *deletionUsers/15), nil)
		f.publish(bus.SubjectReconcile(bus.CategoryUserDeletions, customer), map[string]any{"customerId": customer})
	}
	var right, unknown, shifted int
	for _, customer := range customers {
		run := f.awaitScan(customer, 1, "done")
		shifted += f.life(customer).Deleted
		gone := f.deletedRecords(customer)
		f.requireNoneOfVOMOs(customer, gone)
		for _, id := range deleted[customer] {
			require.Equal(t, !silent[customer][id], gone[id], "%s: user %s", customer, id)
		}
		require.EqualValues(t, len(gone), run.Deleted, customer)
		right += len(gone)
		unknown += len(silent[customer])
	}
	t.Logf("%d organisations of %d users: %d of %d deleted users deleted, 0 wrong, %d kept because VOMO did not answer 404; %d users deleted during the scans",
		len(customers), *deletionUsers, right, right+unknown, unknown, shifted)

	f.control(http.MethodDelete, "/control/faults", nil, nil)
	for _, customer := range customers {
		f.publish(bus.SubjectReconcile(bus.CategoryUserDeletions, customer), map[string]any{"customerId": customer})
	}
	for _, customer := range customers {
		f.awaitScan(customer, 2, "done")
		gone := f.deletedRecords(customer)
		f.requireNoneOfVOMOs(customer, gone)
		for _, id := range deleted[customer] {
			require.True(t, gone[id], "%s: user %s", customer, id)
		}
		require.Len(t, f.events(bus.StreamEvents, bus.SubjectEvent("user.deleted", customer)), len(gone), "each deletion is published once")
		compared := f.compare(customer)
		require.Zero(t, compared.Extra, "%s: no record of a user that VOMO does not have", customer)
	}
}

// requireNoneOfVOMOs fails if a user was deleted that VOMO has.
func (f *fixture) requireNoneOfVOMOs(customer string, gone map[string]bool) {
	f.t.Helper()
	for _, user := range f.activeUsers(customer) {
		require.False(f.t, gone[user.ID.String()], "%s: VOMO has user %s", customer, user.ID)
	}
}

func TestThirtyPercentMissingIsHeldAndApprovalDeletesExactlyThem(t *testing.T) {
	t.Parallel()
	f := newFixture(t, fast)
	f.start(programOnboarding)
	f.start(programBackfill)
	f.start(programReconciler)
	f.organisation("acme", *deletionUsers)
	f.organisation("empty", 40)
	f.onboard("acme")
	f.onboard("empty")
	f.awaitState("acme", "completed", longest)
	f.awaitState("empty", "completed", longest)
	missing := f.deleteUsers("acme", *deletionUsers*3/10, rand.New(rand.NewPCG(1, 1)))
	f.deleteUsers("empty", 40, rand.New(rand.NewPCG(1, 1)))
	for _, customer := range []string{"acme", "empty"} {
		_, code := askDeletions[operatorapi.DeletionCommanded](f, "scan", operatorapi.DeletionCommand{CustomerID: customer})
		require.Empty(t, code)
	}

	held := f.awaitScan("acme", 1, "held")
	require.Equal(t, "share", *held.HeldFor)
	require.EqualValues(t, len(missing), held.Confirmed)
	require.Equal(t, "empty_source", *f.awaitScan("empty", 1, "held").HeldFor)
	require.Empty(t, f.deletedRecords("acme"))
	require.Len(t, f.events(bus.StreamAlerts, "rollcall.alerts.high.deletions_held.*"), 2)

	_, code := askDeletions[operatorapi.DeletionCommanded](f, "approve", operatorapi.DeletionCommand{CustomerID: "empty"})
	require.Equal(t, service.CodeConflict, code)
	_, code = askDeletions[operatorapi.DeletionCommanded](f, "approve", operatorapi.DeletionCommand{CustomerID: "acme"})
	require.Empty(t, code)
	f.awaitScan("acme", 1, "done")
	gone := f.deletedRecords("acme")
	require.Len(t, gone, len(missing))
	for _, id := range missing {
		require.True(t, gone[id], id)
	}
	require.Empty(t, f.deletedRecords("empty"))
}

func TestUndoRestoresExactlyTheUsersThatVOMOHasAgain(t *testing.T) {
	t.Parallel()
	f := newFixture(t, fast)
	f.start(programOnboarding)
	f.start(programBackfill)
	f.start(programReconciler)
	f.organisation("acme", *deletionUsers)
	f.onboard("acme")
	f.awaitState("acme", "completed", longest)
	deleted := f.deleteUsers("acme", 10, rand.New(rand.NewPCG(3, 1)))
	_, code := askDeletions[operatorapi.DeletionCommanded](f, "scan", operatorapi.DeletionCommand{CustomerID: "acme"})
	require.Empty(t, code)
	run := f.awaitScan("acme", 1, "done")
	require.Len(t, f.deletedRecords("acme"), len(deleted))
	before := f.externalIDs("acme")
	back, gone := deleted[:6], deleted[6:]
	for _, id := range back {
		f.control(http.MethodPost, "/control/orgs/acme/users/"+id+"/restore", nil, nil)
	}

	said := f.operator("deletions", "undo", "acme", "--run", strconv.FormatInt(run.ID, 10))

	require.Contains(t, said, "6 users restored.")
	require.Contains(t, said, "VOMO does not have them either")
	still := f.deletedRecords("acme")
	require.Len(t, still, len(gone))
	for _, id := range gone {
		require.True(t, still[id], id)
	}
	require.Equal(t, comparison{Source: *deletionUsers - len(gone), Destination: *deletionUsers - len(gone), Same: *deletionUsers - len(gone)}, f.compare("acme"))
	after := f.externalIDs("acme")
	for _, id := range back {
		require.NotEmpty(t, after[id], id)
		delete(after, id)
	}
	require.Equal(t, before, after, "no other mapping changed")
	require.Equal(t, len(back), f.count(`SELECT count(*) FROM sync_audit WHERE operation = 'undo_delete' AND succeeded`))
	require.Equal(t, len(gone), f.count(`SELECT count(*) FROM sync_audit WHERE operation = 'undo_delete' AND NOT succeeded`))

	require.Contains(t, f.operator("deletions", "undo", "acme", gone[0]), "0 users restored.")
	require.True(t, f.deletedRecords("acme")[gone[0]], "VOMO does not have the user: nothing changed")
	_, code = askDeletions[operatorapi.DeletionCommanded](f, "scan", operatorapi.DeletionCommand{CustomerID: "acme"})
	require.Empty(t, code)
	require.Zero(t, f.awaitScan("acme", 2, "done").Missing, "the restored users are mapped, and VOMO has them")
}

// externalIDs returns the destination's ids of the customer's users, by VOMO id.
func (f *fixture) externalIDs(customer string) map[string]string {
	f.t.Helper()
	rows, err := f.pool.Query(f.t.Context(), `SELECT vomo_user_id, external_user_id FROM user_mappings WHERE customer_id = $1`, customer)
	require.NoError(f.t, err)
	ids := map[string]string{}
	var user, external string
	_, err = pgx.ForEachRow(rows, []any{&user, &external}, func() error {
		ids[user] = external
		return nil
	})
	require.NoError(f.t, err)
	return ids
}

func TestPollsGoOnDuringADeletionScan(t *testing.T) {
	t.Parallel()
	f := newFixture(t, map[string]string{"VOMO_REQUESTS_PER_SECOND": strconv.Itoa(*deletionRPS), "VOMO_REQUESTS_PER_MINUTE": "0"})
	f.start(programOnboarding)
	f.start(programBackfill)
	f.start(programPoller)
	f.organisation("acme", *deletionUsers*2)
	f.onboard("acme")
	f.awaitState("acme", "completed", longest)
	f.start(programReconciler)
	f.deleteUsers("acme", 20, rand.New(rand.NewPCG(2, 1)))
	_, code := askDeletions[operatorapi.DeletionCommanded](f, "scan", operatorapi.DeletionCommand{CustomerID: "acme"})
	require.Empty(t, code)
	f.await(soon, "the scan has begun", func() bool {
		return f.count(`SELECT count(*) FROM runs WHERE kind = 'user_deletions' AND pages > 0`) == 1
	})

	const scanning = `SELECT coalesce(max(pages), -1) FROM runs WHERE kind = 'user_deletions'`
	const polled = `SELECT count(*) FROM job_log WHERE job = 'user_sync_poll' AND outcome = 'success'`
	polls, longestPoll := 0, time.Duration(0)
	for pages := f.count(scanning); pages >= 0; pages = f.count(scanning) {
		before, began := f.count(polled), time.Now()
		f.await(soon, "a poll has completed", func() bool {
			f.requestPoll("acme") // the request before may not be acknowledged yet
			return f.count(polled) > before
		})
		polls++
		longestPoll = max(longestPoll, time.Since(began))
		f.await(longest, "the scan goes on", func() bool {
			now := f.count(scanning)
			return now < 0 || now >= pages+10
		})
	}
	run := f.awaitScan("acme", 1, "done")
	t.Logf("%d polls during a scan of %d users, each within %s", polls, run.Scanned, longestPoll.Round(10*time.Millisecond))
	require.EqualValues(t, 20, run.Deleted)
	require.Greater(t, polls, 2)
	require.Less(t, longestPoll, 15*time.Second, "a poll takes the lane within a page; the bound is for a busy machine")
}
