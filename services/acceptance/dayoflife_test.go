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

// By hand, in full: go test ./services/acceptance -run ADayOfLife -day-users 5000 -day-hours 24.
var (
	dayUsers = flag.Int("day-users", 600, "users of the organisation whose day is simulated")
	dayHours = flag.Int("day-hours", 4, "how much of the day is simulated")
)

// dweller is what the test knows of a user.
type dweller struct {
	id    json.Number
	email string
}

// dayOf makes the changes of a day by chance, always the same for one seed.
type dayOf struct {
	h       *house
	org     string
	chance  *rand.Rand
	users   []dweller
	emails  int // true changes so far
	changes int
}

func (d *dayOf) pick(n int) []*dweller {
	picked := make([]*dweller, 0, n)
	for _, at := range d.chance.Perm(len(d.users))[:min(n, len(d.users))] {
		picked = append(picked, &d.users[at])
	}
	return picked
}

// quarter changes what changes in a quarter of an hour. Addresses change truly only where a poll cannot be under way:
// whether two changes of one address raise one alert or two depends on whether a poll comes between them.
func (d *dayOf) quarter(addresses bool) {
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

func TestADayOfLifeLeavesBothSidesTheSame(t *testing.T) {
	t.Parallel()
	h := newHouse(t, fast)
	h.ahead(0)
	h.control("POST", "/control/orgs", map[string]any{"name": "acme", "token": "acme-token", "users": *dayUsers, "seed": 7, "order": "updated"}, nil)
	h.start(programOnboarding)
	h.start(programBackfill)
	h.start(programPoller)
	request := h.request("acme")
	request["pollCadenceMinutes"] = 15
	h.publish(bus.SubjectOnboard("acme"), request)
	h.untilState("acme", "completed", longest)
	h.afterPolls(soon)
	h.control("POST", "/control/report/reset", nil, nil)

	day := &dayOf{h: h, org: "acme", chance: rand.New(rand.NewPCG(1, 2))}
	for _, user := range h.aliveWithEmail("acme") {
		day.users = append(day.users, dweller{id: user.ID, email: user.Email})
	}
	began := time.Now()
	for range 4 * *dayHours {
		day.quarter(true)
		h.ahead(15 * time.Minute)
		day.quarter(false) // while the poll is under way, or just before it
		h.afterPolls(soon)
	}
	for range 2 { // what changed while the last one was under way
		h.ahead(15 * time.Minute)
		h.afterPolls(soon)
	}
	polls := h.polls("acme")
	source := len(h.aliveWithEmail("acme"))
	t.Logf("%d users, %d changes, %d true changes of an address, %d polls, %s", source, day.changes, day.emails, polls, time.Since(began).Round(time.Second))

	require.NotZero(t, day.emails)
	require.Equal(t, comparison{Source: source, Destination: source, Same: source}, h.compare("acme"))
	require.Zero(t, h.traffic().CRM["acme"].UnchangedWrites, "nobody is written who did not change")
	require.Zero(t, h.count(`SELECT count(*) FROM dead_letters`))
	h.until(soon, "every true change of an address is told", func() bool {
		return h.messages(bus.StreamAlerts, "rollcall.alerts.medium.email_changed.acme") >= day.emails
	})
	require.Equal(t, day.emails, h.messages(bus.StreamAlerts, "rollcall.alerts.medium.email_changed.acme"), "and nothing else is")
	h.until(soon, "the outbox is empty", func() bool { return h.count(`SELECT count(*) FROM outbox`) == 0 })
	require.Equal(t, source-*dayUsers, h.messages(bus.StreamEvents, "rollcall.events.user.created.acme"))
	updates := h.count(`SELECT count(*) FROM sync_audit WHERE operation = 'update' AND succeeded`)
	require.Equal(t, updates, h.messages(bus.StreamEvents, "rollcall.events.user.updated.acme"))
	require.Equal(t, h.count(`SELECT count(*) FROM sync_audit WHERE succeeded`),
		h.count(`SELECT count(*) FROM (SELECT DISTINCT record_id, source_updated_at, job_id FROM sync_audit WHERE succeeded) a`), "no version twice in one job")
}
