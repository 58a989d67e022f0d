package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/bus"
)

const participationSubject = "rollcall.reconcile.participations.acme"

// newRefreshFixture returns a fixture with mirrored users 1 to count, whose participations are read by the running service. Their
// first cycle is behind them, so that what changes is an event.
func newRefreshFixture(t *testing.T, count int) *fixture {
	t.Helper()
	f := newFixture(t)
	f.addPeople(count)
	f.start()
	f.publish(bus.SubjectReconcile(bus.CategoryUserDaily, "acme"), plain)
	f.waitReconciled("acme", 1)
	f.requests()
	// In the future, so that only a test's own message starts a cycle.
	f.exec(`UPDATE sync_configs SET participations = true, destination = destination || '{"participations":true}', participations_cycle_seconds = 1,
		next_participations_at = '2030-01-01'`)
	return f
}

// refresh requests a cycle by hand, and waits until it is the nth that has ended.
func (f *fixture) refresh(nth int) {
	f.t.Helper()
	f.publish(participationSubject, plain)
	f.waitRefreshed(nth)
}

func (f *fixture) waitRefreshed(nth int) {
	f.t.Helper()
	require.Eventually(f.t, func() bool {
		return values[int](f, `SELECT count(*) FROM job_log WHERE job = 'participations' AND outcome = 'success'`)[0] >= nth && f.waiting() == 0
	}, soon, 20*time.Millisecond)
}

// participates sets VOMO's answer about users.
func (f *fixture) participates(participations string, ids ...int) {
	f.locked(func() {
		for _, id := range ids {
			user := f.user(id)
			if participations != "" {
				user["participations"] = json.RawMessage(participations)
			}
			encoded, err := json.Marshal(map[string]any{"data": user})
			require.NoError(f.t, err)
			f.details[id] = "200 " + string(encoded)
		}
	})
}

// participationEvents returns the events about participations, with their user and participation.
func (f *fixture) participationEvents() []string {
	f.t.Helper()
	stream, err := f.js.Stream(f.t.Context(), bus.StreamEvents)
	require.NoError(f.t, err)
	require.Eventually(f.t, func() bool { return values[int](f, `SELECT count(*) FROM outbox`)[0] == 0 }, soon, 20*time.Millisecond)
	got := []string{}
	for sequence := range stream.CachedInfo().State.LastSeq + 100 {
		message, err := stream.GetMsg(f.t.Context(), sequence+1)
		if err != nil {
			continue
		}
		var data struct{ VomoUserID, ParticipationID string }
		require.NoError(f.t, json.Unmarshal(message.Data, &data))
		if data.ParticipationID != "" {
			got = append(got, fmt.Sprintf("%s %s %s", message.Subject, data.VomoUserID, data.ParticipationID))
		}
	}
	return got
}

func TestUsersThatVOMODoesNotReturnStayAsTheyAre(t *testing.T) {
	t.Parallel()
	f := newRefreshFixture(t, 6)
	f.participates(`[{"id":7}]`, 1, 2, 3, 4, 5, 6)
	f.refresh(1)
	require.Len(t, f.participationEvents(), 6)
	_, written := f.requests()
	require.Len(t, written, 6)
	digests := values[string](f, `SELECT encode(digest, 'hex') FROM participations WHERE vomo_user_id < '6' ORDER BY vomo_user_id`)
	require.Len(t, digests, 5)

	f.participates(``, 1)
	f.participates(`null`, 2)
	f.locked(func() { f.details[3], f.details[4], f.details[5] = "404", "500", `200 {"data":{"id":5,"partici` })
	f.participates(`[]`, 6)
	f.refresh(2)
	require.Equal(t, []string{"rollcall.events.participation.removed.acme 6 7"}, f.participationEvents()[6:])
	require.Equal(t, digests, values[string](f, `SELECT encode(digest, 'hex') FROM participations WHERE vomo_user_id < '6' ORDER BY vomo_user_id`))
	_, written = f.requests()
	require.Equal(t, []string{"6"}, written)
	require.Empty(t, f.activeAlerts())
	require.Equal(t, []int{6}, values[int](f, `SELECT processed_count::int FROM job_log WHERE job = 'participations' ORDER BY id DESC LIMIT 1`))
}

func TestUserThatVOMODoesNotReturnWholeIsWrittenFromTheList(t *testing.T) {
	t.Parallel()
	f := newRefreshFixture(t, 2)
	var sent struct {
		Phone        string `json:"phone"`
		CustomFields struct {
			Count int     `json:"participations_count"`
			Hours float64 `json:"hours_total"`
		} `json:"custom_fields"`
	}
	f.locked(func() {
		f.details[1] = `200 {"data":{"participations":[{"id":7,"hours":"2.5"}],"profile_field_values":[]}}`
		f.onCRM = func(r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			_ = json.Unmarshal(body, &sent)
		}
	})
	f.refresh(1)
	_, written := f.requests()
	require.Equal(t, []string{"1"}, written)
	f.locked(func() {
		require.Equal(t, "a", sent.Phone, "the whole record")
		require.Equal(t, 1, sent.CustomFields.Count)
		require.InDelta(t, 2.5, sent.CustomFields.Hours, 0)
	})
	f.refresh(2)
	_, written = f.requests()
	require.Empty(t, written)
}

func TestRefreshUsesItsShareOfEachMinute(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.settings.ParticipationShare = 0.01 // 6 of 600 requests a minute
	f.exec(`UPDATE sync_configs SET requests_per_second = 1000, requests_per_minute = 600`)
	f.addPeople(14)
	f.start()
	f.publish(bus.SubjectReconcile(bus.CategoryUserDaily, "acme"), plain)
	f.waitReconciled("acme", 1)
	f.exec(`UPDATE sync_configs SET participations = true`) // the schedule starts the first cycle at once
	waits := func(spent int) {
		t.Helper()
		require.Eventually(t, func() bool {
			got := values[string](f, `SELECT concat_ws(' ', r.state, r.park_reason, r.parks, r.attempts, b.spent ->> 'participations') FROM runs r, customer_budgets b`)
			return slices.Equal(got, []string{"parked paced 0 0 " + strconv.Itoa(spent)}) && f.waiting() == 0
		}, soon, 20*time.Millisecond, spent)
	}
	waits(6)
	f.publish(participationSubject, plain) // by hand: worked at once, and the share stays
	require.Eventually(t, func() bool { return f.waiting() == 0 }, soon, 20*time.Millisecond)
	waits(6)
	f.exec(`UPDATE customer_budgets SET spent = spent || '{"user_sync_poll":10000}'`) // other jobs used it all
	f.clock(morning.Add(2 * time.Minute))
	waits(7)
	f.clock(morning.Add(time.Hour)) // a long wait is not made up for
	waits(13)
	f.clock(morning.Add(62 * time.Minute))
	f.waitRefreshed(1)
	require.Equal(t, []int{14}, values[int](f, `SELECT (spent ->> 'participations')::int FROM customer_budgets`))
	require.Equal(t, []bool{true}, values[bool](f, `SELECT participations_cycle_seconds > 3600 AND next_participations_at <= rollcall_now() FROM sync_configs`),
		"the next cycle is due: an hour has passed since this one began")
}

func TestRefreshKeepsOutOfQuietHours(t *testing.T) {
	t.Parallel()
	f := newRefreshFixture(t, 2)
	f.exec(`UPDATE sync_configs SET quiet_hours = '{"from":"08:00","to":"18:00","zone":"UTC"}'`)
	f.publish(participationSubject, plain)
	require.Eventually(t, func() bool {
		got := values[string](f, `SELECT concat_ws(' ', state, park_reason) FROM runs`)
		return len(got) == 1 && got[0] == "parked quiet_hours"
	}, soon, 20*time.Millisecond)
	require.Equal(t, []int{0}, values[int](f, `SELECT coalesce((spent ->> 'participations')::int, 0) FROM customer_budgets`))
	f.clock(morning.Add(10 * time.Hour))
	f.waitRefreshed(1)
}

func TestCustomerWhoseParticipationsAreNotReadIsNotRefreshed(t *testing.T) {
	t.Parallel()
	f := newRefreshFixture(t, 2)
	f.exec(`UPDATE sync_configs SET participations = false, next_participations_at = '1970-01-01'`)
	f.publish(participationSubject, plain)
	require.Eventually(t, func() bool { return f.waiting() == 0 }, soon, 20*time.Millisecond)
	require.Equal(t, []int{0}, values[int](f, `SELECT count(*) FROM runs`))
	require.Equal(t, []int{0}, values[int](f, `SELECT coalesce((spent ->> 'participations')::int, 0) FROM customer_budgets`))
}

func TestCycleEndsWhenParticipationsAreNoLongerRead(t *testing.T) {
	t.Parallel()
	f := newRefreshFixture(t, 2)
	f.exec(`UPDATE sync_configs SET quiet_hours = '{"from":"08:00","to":"18:00","zone":"UTC"}'`)
	f.publish(participationSubject, plain)
	require.Eventually(t, func() bool { return len(values[int](f, `SELECT 1 FROM runs WHERE state = 'parked'`)) == 1 }, soon, 20*time.Millisecond)
	f.exec(`UPDATE sync_configs SET participations = false`)
	f.clock(morning.Add(10 * time.Hour))
	require.Eventually(t, func() bool { return len(values[int](f, `SELECT 1 FROM runs`)) == 0 && f.waiting() == 0 }, soon, 20*time.Millisecond)
	require.Equal(t, []string{"switched_off"}, values[string](f, `SELECT error_code FROM job_log WHERE job = 'participations'`))
	require.Equal(t, []int{0}, values[int](f, `SELECT coalesce((spent ->> 'participations')::int, 0) FROM customer_budgets`))
}

func TestParticipationsAreDeletedWhenTheyAreNoLongerRead(t *testing.T) {
	t.Parallel()
	f := newRefreshFixture(t, 4)
	f.participates(`[{"id":7}]`, 1, 2, 3, 4)
	f.refresh(1)
	require.Len(t, f.participationEvents(), 4)
	f.exec(`INSERT INTO participations SELECT 'acme', 'x' || n, '', '', NULL, '', now() FROM generate_series(1, 2500) n`)
	f.exec(`INSERT INTO participations SELECT 'globex', '1', '', '', NULL, '', now()`)
	deleted := func(t *testing.T) {
		t.Helper()
		require.Eventually(t, func() bool {
			return values[int](f, `SELECT count(*) FROM participations WHERE customer_id = 'acme'`)[0] == 0 &&
				values[bool](f, `SELECT participations_cycle_seconds IS NULL AND next_participations_at = '1970-01-01Z' FROM sync_configs WHERE customer_id = 'acme'`)[0]
		}, soon, 20*time.Millisecond)
	}

	f.exec(`UPDATE sync_configs SET participations = false`)

	deleted(t)
	require.Equal(t, []int{1}, values[int](f, `SELECT count(*) FROM participations`), "another customer's stay")

	// The row of a cycle that was under way, and its end.
	f.exec(`INSERT INTO participations SELECT 'acme', '1', '', '', NULL, '', now()`)
	f.exec(`UPDATE sync_configs SET participations = true, next_participations_at = '2030-01-01', quiet_hours = '{"from":"08:00","to":"18:00","zone":"UTC"}'`)
	f.publish(participationSubject, plain)
	require.Eventually(t, func() bool { return len(values[int](f, `SELECT 1 FROM runs WHERE state = 'parked'`)) == 1 }, soon, 20*time.Millisecond)
	f.exec(`UPDATE sync_configs SET participations = false, next_participations_at = '1970-01-01'`)
	f.clock(morning.Add(10 * time.Hour))
	deleted(t)

	f.exec(`UPDATE sync_configs SET participations = true, quiet_hours = NULL`) // the schedule starts a cycle at once
	f.waitRefreshed(2)
	require.Equal(t, []int{4}, values[int](f, `SELECT count(*) FROM participations WHERE customer_id = 'acme'`))
	require.Len(t, f.participationEvents(), 4, "the first cycle after it is silent")
}

func TestParticipationsOfUsersThatAreNoLongerMappedAreForgotten(t *testing.T) {
	t.Parallel()
	f := newRefreshFixture(t, 5)
	f.participates(`[{"id":7}]`, 1, 2, 3, 4, 5)
	f.refresh(1)
	f.exec(`DELETE FROM user_mappings WHERE vomo_user_id IN ('1', '3', '5')`)
	f.refresh(2)
	require.Equal(t, []string{"2", "4"}, values[string](f, `SELECT vomo_user_id FROM participations ORDER BY 1`))
}

func TestWorkerThatLosesItsLaneAfterAWriteRepeatsNothingVisible(t *testing.T) {
	t.Parallel()
	f := newRefreshFixture(t, 3)
	f.participates(`[{"id":7,"hours":1}]`, 1, 2, 3)
	lost := false
	f.locked(func() {
		f.onCRM = func(*http.Request) {
			if !lost {
				lost = true
				f.exec(`UPDATE customer_leases SET epoch = epoch + 1, expires_at = rollcall_now()`)
			}
		}
	})
	f.refresh(1)
	_, written := f.requests()
	require.Equal(t, []string{"1", "1", "2", "3"}, written, "the write before the loss comes again, with the same content")
	require.Len(t, f.participationEvents(), 3, "and its event comes once")
}
