package acceptance_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/bus"
)

// The full size, run by hand:
//
//	go test ./services/acceptance -run Participation -participation-users 3000 -participation-changes 200 -participation-rps 20 -participation-polls 60
var (
	participationUsers   = flag.Int("participation-users", 90, "users of the organisation whose participations are read")
	participationChanges = flag.Int("participation-changes", 12, "users whose participations change")
	participationRPS     = flag.Float64("participation-rps", 10_000, "requests a second to VOMO while they are read")
	participationPolls   = flag.Int("participation-polls", 6, "polls whose delay is measured, with a refresh under way and without")
)

// participation is one entry of a user's participations as the sandbox shows it.
type participation map[string]any

func (f *fixture) setParticipations(organisation string, user int, entries ...participation) {
	f.t.Helper()
	if entries == nil {
		entries = []participation{}
	}
	f.control(http.MethodPut, fmt.Sprintf("/control/orgs/%s/users/%d/participations", organisation, user), map[string]any{"participations": entries}, nil)
}

// cycles returns how many cycles of participations have ended.
func (f *fixture) cycles(customer string) int {
	f.t.Helper()
	return f.count(`SELECT count(*) FROM job_log WHERE customer_id = $1 AND job = 'participations' AND outcome = 'success'`, customer)
}

// cycle starts a cycle by a message and waits until it has ended.
func (f *fixture) cycle(customer string, within time.Duration) {
	f.t.Helper()
	before := f.cycles(customer)
	f.await(soon, "the last request is settled", func() bool { // until then, the stream refuses another one
		_, err := f.js.Publish(f.t.Context(), bus.SubjectReconcile(bus.CategoryParticipations, customer), []byte(`{"customerId":"`+customer+`"}`))
		return err == nil
	})
	f.await(within, "a cycle ends", func() bool { return f.cycles(customer) > before })
}

// crmRecord is a record as the sandbox's CRM has it.
type crmRecord struct {
	ExternalID   string `json:"external_id"`
	Writes       int
	CustomFields struct {
		Count  *int       `json:"participations_count"`
		Hours  *float64   `json:"hours_total"`
		LastAt *time.Time `json:"last_participation_at"`
	} `json:"custom_fields"`
}

func (f *fixture) records(tenant string) map[string]crmRecord {
	f.t.Helper()
	response, err := http.Get(f.sandbox + "/control/crm/" + tenant + "/users")
	require.NoError(f.t, err)
	defer func() { require.NoError(f.t, response.Body.Close()) }()
	found := map[string]crmRecord{}
	for lines := json.NewDecoder(response.Body); lines.More(); {
		var record crmRecord
		require.NoError(f.t, lines.Decode(&record))
		found[record.ExternalID] = record
	}
	return found
}

// readingParticipations onboards a customer whose participations are read, for a destination that has fields for them.
func (f *fixture) readingParticipations(customer string, more map[string]any) {
	f.t.Helper()
	request := map[string]any{
		"customerId": customer, "vomoToken": customer + "-token", "participations": true,
		"destination": map[string]any{"kind": "rest", "url": f.sandbox + "/crm/" + customer, "participations": true},
	}
	maps.Copy(request, more)
	f.publish(bus.SubjectOnboard(customer), request)
}

func TestParticipationsThatChangedAreFoundWithinOneCycle(t *testing.T) {
	t.Parallel()
	users, changed := *participationUsers, *participationChanges
	f := newFixture(t, map[string]string{
		"VOMO_REQUESTS_PER_SECOND": fmt.Sprint(*participationRPS), "VOMO_REQUESTS_PER_MINUTE": "0", "PARTICIPATION_SHARE": "0.5",
	})
	f.organisation("acme", users)
	for i := range users / 2 { // the others have none
		f.setParticipations("acme", 1001+i, participation{"id": 1, "hours": "1.5", "checked_in_at": "2026-01-02T10:00:00+00:00"},
			participation{"id": 2, "hours": 2})
	}
	for _, program := range []string{programOnboarding, programBackfill, programPoller, programReconciler} {
		f.start(program)
	}
	f.readingParticipations("acme", nil)
	f.awaitState("acme", "completed", longest)
	cycle := 2*time.Minute + time.Duration(float64(users) / *participationRPS * 4 * float64(time.Second))
	f.await(cycle, "the first cycle ends", func() bool { return f.cycles("acme") == 1 })
	require.Empty(t, f.events(bus.StreamEvents, "rollcall.events.participation.>"), "what was there before is no event")
	for id, record := range f.records("acme") {
		if id <= fmt.Sprintf("vomo-%d", 1000+users/2) && len(id) == len("vomo-1001") {
			require.Equal(t, 2, *record.CustomFields.Count)
			require.InDelta(t, 3.5, *record.CustomFields.Hours, 0)
			require.Equal(t, time.Date(2026, 1, 2, 10, 0, 0, 0, time.UTC), record.CustomFields.LastAt.UTC())
			require.Equal(t, 2, record.Writes, "by the backfill, and once for the participations")
			continue
		}
		require.Nil(t, record.CustomFields.Count, id)
		require.Equal(t, 1, record.Writes, "a user without participations is not written again")
	}
	f.control(http.MethodPost, "/control/report/reset", nil, nil)

	var want []string
	for i := range changed {
		user := 1001 + i*(users/changed)
		id := fmt.Sprintf(`"vomoUserId":"%d"`, user)
		switch { // by thirds; the second half of the users had none
		case user-1001 >= users/2:
			f.setParticipations("acme", user, participation{"id": "new", "hours": 4})
			want = append(want, "created "+id+` "participationId":"new"`)
		case i%2 == 0:
			f.setParticipations("acme", user, participation{"id": 2, "hours": 2}, participation{"id": 1, "hours": "7", "checked_in_at": "2026-01-02T10:00:00+00:00"})
			want = append(want, "changed "+id+` "participationId":"1"`)
		default:
			f.setParticipations("acme", user, participation{"hours": 2, "id": 2})
			want = append(want, "removed "+id+` "participationId":"1"`)
		}
	}
	began := time.Now()
	f.cycle("acme", cycle)
	took := time.Since(began)
	var got []string
	for _, kind := range []string{"created", "changed", "removed"} {
		for _, message := range f.events(bus.StreamEvents, "rollcall.events.participation."+kind+".acme") {
			var data struct{ VomoUserID, ParticipationID string }
			require.NoError(t, json.Unmarshal(message.Data(), &data))
			got = append(got, fmt.Sprintf(`%s "vomoUserId":"%s" "participationId":"%s"`, kind, data.VomoUserID, data.ParticipationID))
		}
	}
	slices.Sort(want)
	slices.Sort(got)
	require.Equal(t, want, got)
	seen := f.traffic()
	require.Equal(t, changed, seen.CRM["acme"].Writes, "each user whose participations changed is written once")
	require.Equal(t, 1, seen.CRM["acme"].MaxWritesPerRecord)
	require.Zero(t, seen.CRM["acme"].UnchangedWrites)
	require.Equal(t, comparison{Source: users, Destination: users, Same: users}, f.compare("acme"))

	f.cycle("acme", cycle)
	require.Equal(t, changed, f.traffic().CRM["acme"].Writes, "a cycle that finds nothing writes nothing")
	require.Len(t, f.events(bus.StreamEvents, "rollcall.events.participation.>"), changed)
	shown := f.status("acme").Participations
	require.True(t, shown.Enabled)
	require.Equal(t, [2]int64{int64(users), int64(users)}, [2]int64{shown.Covered, shown.Total})
	require.NotNil(t, shown.CycleHours)
	t.Logf("%d users, %d changed: all found in %s; the last cycle took %.3f hours", users, changed, took.Round(time.Millisecond), *shown.CycleHours)
}

// pollTimes publishes requests for polls, each at another moment of the interval between two requests, and returns how long each
// poll took from its message to its end. settled is called before each, and waits for what the poll before has disturbed.
func (f *fixture) pollTimes(customer string, times int, interval time.Duration, settled func()) []time.Duration {
	f.t.Helper()
	took := make([]time.Duration, 0, times)
	for i := range times {
		settled()
		<-time.After(interval + interval*time.Duration(i)/time.Duration(times)) // also, the poll before has no part in this one's delay
		before, began := f.polls(customer), time.Now()
		f.poll(customer)
		f.await(soon, "a poll ends", func() bool { return f.polls(customer) > before })
		took = append(took, time.Since(began).Round(time.Millisecond))
	}
	slices.Sort(took)
	return took
}

func TestPollsAreNotDelayedByARefreshByMoreThanOneRequest(t *testing.T) {
	t.Parallel()
	// The refresh may use everything, so that it is always under way.
	f := newFixture(t, map[string]string{"PARTICIPATION_SHARE": "1"}) // 3 a second, 100 a minute: one each 606 ms
	const interval = 606 * time.Millisecond
	f.organisation("acme", 120)
	for _, program := range []string{programOnboarding, programBackfill, programPoller} {
		f.start(program)
	}
	f.readingParticipations("acme", nil)
	f.awaitState("acme", "completed", longest)
	f.afterPolls(soon)
	alone := f.pollTimes("acme", *participationPolls, interval, func() {})
	f.start(programReconciler)
	beside := f.pollTimes("acme", *participationPolls, interval, func() {
		const spent = `SELECT coalesce((spent ->> 'participations')::int, 0) FROM customer_budgets WHERE customer_id = 'acme'`
		before := f.count(spent)
		f.await(soon, "the refresh, which let the poll go first, is under way again", func() bool { return f.count(spent) > before })
	})
	worst := beside[len(beside)-1] - alone[len(alone)/2]
	require.LessOrEqual(t, worst, interval+interval/2, "a request, and half of one for a busy machine: %s beside %s", beside, alone)
	require.LessOrEqual(t, beside[len(beside)/2]-alone[len(alone)/2], interval)
	seen := f.traffic().VOMO["acme"]
	require.LessOrEqual(t, seen.MaxPerMinute, 100)
	require.LessOrEqual(t, seen.MaxPerSecond, 4)
	t.Logf("polls alone took %s, beside a refresh %s; one request each %s; at most %d requests a second and %d a minute",
		alone, beside, interval, seen.MaxPerSecond, seen.MaxPerMinute)
}

// All services of one customer send requests at the same time: a backfill, two pollers, the reconciler with a refresh and a daily
// run, the retry of letters, and write-backs.
func TestLimitsHoldWhileAllServicesWorkOneCustomer(t *testing.T) {
	t.Parallel()
	f := newFixture(t, map[string]string{"PARTICIPATION_SHARE": "1"}) // 3 a second, 100 a minute
	users := *participationUsers
	f.organisation("acme", users)
	for _, program := range []string{programOnboarding, programBackfill, programPoller, programPoller, programReconciler, programDLQRetry,
		programWriteback} {
		f.start(program)
	}
	f.readingParticipations("acme", map[string]any{"pollCadenceMinutes": 1, "writeBack": map[string]any{"fields": []string{"phone"}}})
	f.awaitState("acme", "completed", longest)
	f.control(http.MethodPost, "/control/faults", map[string]any{
		"target": "crm", "kind": "status", "status": 422, "records": []string{"vomo-1002", "vomo-1004"},
	}, nil)
	edits := []map[string]any{}
	for id := 1001; id < 1010; id++ {
		edits = append(edits, map[string]any{
			"id": id, "first_name": "Edited", "email": fmt.Sprintf("u%d@example.org", id), "birthday": "1990-04-02", "gender": "N",
		})
	}
	f.batch("acme", map[string]any{"edits": edits})
	f.commanded("start", "acme")
	asked, writes := time.Time{}, 0
	f.await(10*longest, "all of them send requests, and the backfill is done", func() bool {
		if time.Since(asked) < 2*time.Second {
			return false
		}
		asked = time.Now()
		f.poll("acme")
		f.requestUnlessWaiting(bus.SubjectReconcile(bus.CategoryUserDaily, "acme"), "acme")
		f.makeLettersDue()
		writes++
		f.publish(bus.SubjectWriteback("acme"), map[string]any{
			"customerId": "acme", "vomoUserId": "1005", "email": "u1005@example.org", "phone": fmt.Sprintf("555-%07d", writes),
		})
		spending := f.status("acme").Budget.Total
		for _, job := range []string{"initial_backfill", "full_resync", "user_sync_poll", "user_daily", "participations", "dlq_retry", "writeback"} {
			if spending[job] == 0 {
				return false
			}
		}
		return f.backfill("acme").State == "completed"
	})
	seen := f.traffic().VOMO["acme"]
	require.LessOrEqual(t, seen.MaxPerMinute, 100)
	require.LessOrEqual(t, seen.MaxPer10Seconds, 18)
	require.LessOrEqual(t, seen.MaxPerSecond, 4)
	require.Zero(t, seen.Statuses["429"])
	t.Logf("%d users, %d requests: at most %d a second, %d in 10 s, %d a minute; %v", users, seen.Requests, seen.MaxPerSecond,
		seen.MaxPer10Seconds, seen.MaxPerMinute, f.status("acme").Budget.Total)
}

// makeLettersDue has the letters retried now.
func (f *fixture) makeLettersDue() {
	f.t.Helper()
	_, err := f.pool.Exec(f.t.Context(), `UPDATE dead_letters SET state = 'waiting', next_attempt_at = rollcall_now() WHERE state <> 'settled'`)
	require.NoError(f.t, err)
}
