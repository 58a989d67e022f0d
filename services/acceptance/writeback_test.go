package acceptance_test

import (
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/testkit"
)

// The full size, run by hand: go test ./services/acceptance -run EditsOnBothSides -both-sides 1000.
var bothSides = flag.Int("both-sides", 60, "users that are edited in VOMO and in the external system at once")

const programWriteback = "rollcall.dev/services/writeback"

// firstUser is the id of an organisation's first user in the sandbox.
const firstUser = 1001

// startWriteBack mirrors an organisation whose external system owns phone and lastName, and starts the services.
func (f *fixture) startWriteBack(customer string, users int) (writer *testkit.Process) {
	f.t.Helper()
	f.organisation(customer, users)
	edits := make([]map[string]any, 0, users)
	for i := range users { // VOMO requires these fields in an upsert
		edits = append(edits, map[string]any{
			"id": firstUser + i, "email": fmt.Sprintf("User%d@example.org", firstUser+i), "birthday": "1990-04-02", "gender": "N",
			"updated_at": "2026-07-01T00:00:00Z",
		})
		if len(edits) == 1000 || i == users-1 {
			f.batch(customer, map[string]any{"edits": edits})
			edits = edits[:0]
		}
	}
	f.start(programOnboarding)
	f.start(programBackfill)
	request := f.request(customer)
	request["writeBack"] = map[string]any{"fields": []string{"phone", "lastName"}}
	f.publish(bus.SubjectOnboard(customer), request)
	f.awaitState(customer, "completed", longest)
	f.start(programPoller)
	return f.start(programWriteback)
}

// userOf is what the tests read of a user in VOMO, and of a record in the CRM.
type userOf struct {
	FirstName string `json:"first_name"`
	LastName  string `json:"last_name"`
	Email     string `json:"email"`
	Phone     string `json:"phone"`
	Writes    int    `json:"writes"`
}

// inVomo returns a user as VOMO has it, by the same request as rollcall's.
func (f *fixture) inVomo(customer string, id int) userOf {
	f.t.Helper()
	var answer struct{ Data userOf }
	request, err := http.NewRequestWithContext(f.t.Context(), http.MethodGet, fmt.Sprintf("%s/vomo/v1/users/%d", f.sandbox, id), nil)
	require.NoError(f.t, err)
	request.Header.Set("Authorization", "Bearer "+customer+"-token")
	f.do(request, &answer)
	return answer.Data
}

// inCRM returns a record as the CRM has it. An edit without fields changes nothing.
func (f *fixture) inCRM(customer string, id int) userOf {
	f.t.Helper()
	var record userOf
	f.control(http.MethodPut, fmt.Sprintf("/control/crm/%s/users/vomo-%d", customer, id), map[string]any{}, &record)
	return record
}

// editExternal changes a phone number in the CRM, and has the CRM publish it.
func (f *fixture) editExternal(customer string, id int, phone string, more map[string]any) {
	f.t.Helper()
	f.control(http.MethodPut, fmt.Sprintf("/control/crm/%s/users/vomo-%d", customer, id), map[string]any{"phone": phone}, nil)
	message := map[string]any{"customerId": customer, "vomoUserId": strconv.Itoa(id), "email": fmt.Sprintf("user%d@EXAMPLE.org", id), "phone": phone}
	maps.Copy(message, more)
	f.publish(bus.SubjectWriteback(customer), message)
}

// awaitWrittenBack waits until nothing of a customer waits to be written.
func (f *fixture) awaitWrittenBack(customer string, rows int) {
	f.t.Helper()
	f.await(longest, "the rows are worked", func() bool {
		return f.count(`SELECT count(*) FROM writebacks WHERE customer_id = $1 AND state <> 'waiting'`, customer) == rows
	})
}

// pollAgain polls until a poll that began now has ended.
func (f *fixture) pollAgain(customer string) {
	f.t.Helper()
	polls := func() int {
		return f.count(`SELECT count(*) FROM job_log WHERE customer_id = $1 AND job = 'user_sync_poll' AND outcome = 'success'`, customer)
	}
	for range 2 { // the first may have begun before
		// A request is not accepted while the one before is not acknowledged, which may be a moment after its poll has ended.
		f.await(longest, "no request waits", func() bool { return f.subjects(bus.StreamPoll, bus.SubjectPoll(customer)) == 0 })
		before := polls()
		f.requestPoll(customer)
		f.await(longest, "a poll ends", func() bool { return polls() > before })
	}
}

func TestEditsOnBothSidesSettle(t *testing.T) {
	t.Parallel()
	f := newFixture(t, fast)
	users := *bothSides
	f.startWriteBack("acme", users)
	f.control(http.MethodPost, "/control/report/reset", nil, nil)
	f.operator("pause", "acme") // so that both sides' edits are there before rollcall sees any
	began := time.Now()

	edits := make([]map[string]any, 0, users)
	for i := range users {
		edits = append(edits, map[string]any{"id": firstUser + i, "first_name": fmt.Sprint("Vomo", i)})
		f.editExternal("acme", firstUser+i, fmt.Sprintf("555-%07d", i), nil)
	}
	f.batch("acme", map[string]any{"edits": edits})
	f.await(longest, "all messages are accepted and erased", func() bool {
		stream, err := f.js.Stream(t.Context(), bus.StreamWriteback)
		require.NoError(t, err)
		return stream.CachedInfo().State.Msgs == 0
	})
	f.operator("resume", "acme")
	f.awaitWrittenBack("acme", users)
	f.pollAgain("acme")

	require.Equal(t, users, f.compare("acme").Source, "no duplicate in VOMO")
	require.Equal(t, users, f.compare("acme").Destination)
	for i := range users {
		first, phone := fmt.Sprint("Vomo", i), fmt.Sprintf("555-%07d", i)
		vomo, crm := f.inVomo("acme", firstUser+i), f.inCRM("acme", firstUser+i)
		require.Equal(t, [2]string{first, phone}, [2]string{vomo.FirstName, vomo.Phone})
		require.Equal(t, [2]string{first, phone}, [2]string{crm.FirstName, crm.Phone})
		require.LessOrEqual(t, crm.Writes, 1, "one write for VOMO's edit, none for the external system's own")
	}
	require.Equal(t, users, f.count(`SELECT count(*) FROM writebacks WHERE outcome = 'written'`))
	require.Equal(t, users, f.count(`SELECT count(*) FROM sync_audit WHERE operation = 'writeback' AND succeeded`), "one write for each edit")
	require.Len(t, f.events(bus.StreamEvents, "rollcall.events.user.updated.acme"), users, "one event for VOMO's edit")
	t.Logf("%d edits on each side settled in %s", users, time.Since(began).Round(100*time.Millisecond))

	before := f.traffic().CRM["acme"].Writes
	f.pollAgain("acme")
	require.Equal(t, before, f.traffic().CRM["acme"].Writes, "nothing goes back and forth")
}

func TestDifferentAddressesAndUnchangedValuesWaitForAPerson(t *testing.T) {
	t.Parallel()
	f := newFixture(t, fast)
	const users, mismatches = 52, 50
	f.startWriteBack("acme", users)
	f.control(http.MethodPut, fmt.Sprint("/control/orgs/acme/users/", firstUser+mismatches), map[string]any{"belongs_elsewhere": true}, nil)
	f.pollAgain("acme")
	const seeded = "seeded-address"

	for i := range mismatches {
		f.editExternal("acme", firstUser+i, fmt.Sprint("5550199", i), map[string]any{"email": fmt.Sprintf("%s-%d@example.net", seeded, i)})
	}
	f.editExternal("acme", firstUser+mismatches, "555-0142-seeded", nil)
	f.publish(bus.SubjectWriteback("acme"), map[string]any{"customerId": "acme", "phone": seeded}) // names no user
	f.awaitWrittenBack("acme", mismatches+1)

	require.Equal(t, mismatches, f.count(`SELECT count(*) FROM review_items WHERE state = 'open' AND reason = 'email_mismatch'`))
	require.Equal(t, 1, f.count(`SELECT count(*) FROM review_items WHERE state = 'open' AND reason = 'not_taken_over'`), "a success that changed nothing")
	require.Zero(t, f.count(`SELECT count(*) FROM sync_audit WHERE operation = 'writeback' AND succeeded`), "nothing was written")
	require.Equal(t, users, f.compare("acme").Source)
	f.await(soon, "an alert for each", func() bool {
		return len(f.events(bus.StreamAlerts, "rollcall.alerts.high.email_mismatch_bidirectional.acme")) == mismatches
	})
	require.Contains(t, f.operator("review", "ls", "acme", "--all"), "retry-with-vomo-email")
	f.await(soon, "the message that names no user is a letter", func() bool {
		return f.count(`SELECT count(*) FROM dead_letters WHERE kind = 'message' AND error_code = 'writeback_invalid'`) == 1
	})
	f.requireNoTrace(seeded + "-7@")
	f.requireNoTrace("555-0142-seeded")

	item := f.count(`SELECT id::int FROM review_items WHERE record_id = $1`, strconv.Itoa(firstUser))
	require.Contains(t, f.operator("review", "show", "acme", strconv.Itoa(item)), seeded+"-0@example.net")
	f.operator("review", "resolve", "acme", strconv.Itoa(item), "retry-with-vomo-email")
	f.await(soon, "the other field is written", func() bool { return f.inVomo("acme", firstUser).Phone == "55501990" })
}

func TestWritebackThatIsKilledRepeatsNothingVisible(t *testing.T) {
	t.Parallel()
	f := newFixture(t, map[string]string{"VOMO_REQUESTS_PER_SECOND": "10000", "VOMO_REQUESTS_PER_MINUTE": "0", "CLAIM_TIMEOUT": "2s"})
	const users = 40
	writer := f.startWriteBack("acme", users)
	f.control(http.MethodPost, "/control/report/reset", nil, nil)
	f.control(http.MethodPost, "/control/faults", map[string]any{"target": "vomo", "org": "acme", "kind": "latency", "delayMs": 20}, nil)
	for i := range users {
		f.editExternal("acme", firstUser+i, fmt.Sprintf("555-%07d", i), nil)
	}
	chance := rand.New(rand.NewPCG(1, 2))
	for range 4 {
		moment := time.NewTimer(time.Duration(100+chance.IntN(300)) * time.Millisecond)
		<-moment.C
		writer.Kill()
		f.requestPoll("acme") // reads the echo of what was written and not committed
		writer = f.start(programWriteback)
	}
	f.awaitWrittenBack("acme", users)
	f.pollAgain("acme")

	require.Equal(t, users, f.compare("acme").Source)
	for i := range users {
		require.Equal(t, fmt.Sprintf("555-%07d", i), f.inVomo("acme", firstUser+i).Phone)
		require.Zero(t, f.inCRM("acme", firstUser+i).Writes, "the destination gets no echo")
	}
	require.Equal(t, users, f.count(`SELECT count(*) FROM sync_audit WHERE operation = 'writeback' AND succeeded`))
	require.Zero(t, f.count(`SELECT count(*) FROM dead_letters`))
}
