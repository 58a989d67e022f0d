package acceptance_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/bus"
)

// The full size, run by hand: go test ./services/acceptance -run DayOfLife -day-users 5000 -day-hours 24.
var (
	dayUsers = flag.Int("day-users", 300, "users of the organisation whose day is simulated")
	dayHours = flag.Int("day-hours", 4, "how much of the day is simulated")
)

// simulatedUser is what the test knows of a user.
type simulatedUser struct {
	id    json.Number
	email string
}

// dayFixture makes random changes during a day, always the same for one seed.
type dayFixture struct {
	h       *fixture
	org     string
	chance  *rand.Rand
	users   []simulatedUser
	emails  int // real changes so far
	changes int
}

func (d *dayFixture) pick(n int) []*simulatedUser {
	picked := make([]*simulatedUser, 0, n)
	for _, at := range d.chance.Perm(len(d.users))[:min(n, len(d.users))] {
		picked = append(picked, &d.users[at])
	}
	return picked
}

// quarter makes the changes of a quarter of an hour. Addresses change only if no poll can be under way: two changes of one
// address raise one alert or two, depending on whether a poll runs in between.
func (d *dayFixture) quarter(addresses bool) {
	edits := []map[string]any{}
	for i, user := range d.pick(d.chance.IntN(12)) {
		switch {
		case i%4 == 0: // several edits in the same second: the last one counts
			for n := range 3 {
				edits = append(edits, map[string]any{"id": user.id, "phone": fmt.Sprintf("+1555%07d", d.changes*10+n)})
			}
		case i%4 == 1 && user.email != "":
			edits = append(edits, map[string]any{"id": user.id, "email": swapCase(user.email)})
			user.email = swapCase(user.email)
		case i%4 == 2 && addresses:
			d.emails++
			user.email = fmt.Sprintf("Moved.%d@%s.example", d.emails, d.org)
			edits = append(edits, map[string]any{"id": user.id, "email": user.email})
		default:
			edits = append(edits, map[string]any{"id": user.id, "last_name": fmt.Sprintf("Name %d", d.changes)})
		}
		d.changes++
	}
	d.h.batch(d.org, map[string]any{"edits": edits, "add": d.chance.IntN(3)})
}

func swapCase(email string) string {
	if email == strings.ToLower(email) {
		return strings.ToUpper(email)
	}
	return strings.ToLower(email)
}

func TestDayOfLifeLeavesSourceAndDestinationEqual(t *testing.T) {
	t.Parallel()
	f := newFixture(t, fast)
	f.advance(0)
	f.control("POST", "/control/orgs", map[string]any{"name": "acme", "token": "acme-token", "users": *dayUsers, "seed": 7, "order": "updated"}, nil)
	f.start(programOnboarding)
	f.start(programBackfill)
	f.start(programPoller)
	request := f.request("acme")
	request["pollCadenceMinutes"] = 15
	f.publish(bus.SubjectOnboard("acme"), request)
	f.awaitState("acme", "completed", longest)
	f.afterPolls(soon)
	f.control("POST", "/control/report/reset", nil, nil)

	day := &dayFixture{h: f, org: "acme", chance: rand.New(rand.NewPCG(1, 2))}
	for _, user := range f.activeUsersWithEmail("acme") {
		day.users = append(day.users, simulatedUser{id: user.ID, email: user.Email})
	}
	began := time.Now()
	for range 4 * *dayHours {
		day.quarter(true)
		f.advance(15 * time.Minute)
		day.quarter(false) // while the poll is under way, or just before it
		f.afterPolls(soon)
	}
	for range 2 { // changes made while the last poll was under way
		f.advance(15 * time.Minute)
		f.afterPolls(soon)
	}
	polls := f.polls("acme")
	source := len(f.activeUsersWithEmail("acme"))
	t.Logf("%d users, %d changes, %d true changes of an address, %d polls, %s", source, day.changes, day.emails, polls, time.Since(began).Round(time.Second))

	require.NotZero(t, day.emails)
	require.Equal(t, comparison{Source: source, Destination: source, Same: source}, f.compare("acme"))
	require.Zero(t, f.traffic().CRM["acme"].UnchangedWrites, "unchanged users are not written")
	require.Zero(t, f.count(`SELECT count(*) FROM dead_letters`))
	f.await(soon, "every true change of an address is published", func() bool {
		return f.messages(bus.StreamAlerts, "rollcall.alerts.medium.email_changed.acme") >= day.emails
	})
	require.Equal(t, day.emails, f.messages(bus.StreamAlerts, "rollcall.alerts.medium.email_changed.acme"), "and nothing else is")
	f.await(soon, "the outbox is empty", func() bool { return f.count(`SELECT count(*) FROM outbox`) == 0 })
	require.Equal(t, source-*dayUsers, f.messages(bus.StreamEvents, "rollcall.events.user.created.acme"))
	updates := f.count(`SELECT count(*) FROM sync_audit WHERE operation = 'update' AND succeeded`)
	require.Equal(t, updates, f.messages(bus.StreamEvents, "rollcall.events.user.updated.acme"))
	require.Equal(t, f.count(`SELECT count(*) FROM sync_audit WHERE succeeded`),
		f.count(`SELECT count(*) FROM (SELECT DISTINCT record_id, source_updated_at, job_id FROM sync_audit WHERE succeeded) a`), "no version twice in one job")
}
