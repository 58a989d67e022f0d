package acceptance_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/testkit"
)

// The full size, run by hand: go test ./services/acceptance -run KilledAtRandom -kill-seeds 50 -timeout 60m.
var (
	killSeeds = flag.Int("kill-seeds", 3, "how many courses of failures and kills a test goes through")
	killFrom  = flag.Int("kill-from", 0, "the first of them")
)

const (
	killUsers  = 200
	killRounds = 4
)

// course is one customer whose destination fails while the poller and dlqretry are killed.
type course struct {
	h        *fixture
	customer string
	chance   *rand.Rand
	poller   *testkit.Process
	retrier  *testkit.Process
	kills    int
}

// fail makes one in twenty users fail for a while, longer than three attempts take, and one in fifty permanently.
func (c *course) fail(users []activeUser) {
	c.h.t.Helper()
	for i, user := range users {
		record := "vomo-" + user.ID.String()
		fault := map[string]any{"target": "crm", "tenant": c.customer, "kind": "status", "records": []string{record}}
		switch {
		case i%50 == 7:
			fault["status"], fault["code"] = http.StatusUnprocessableEntity, "phone_refused"
		case i%20 == 3:
			fault["status"], fault["count"] = http.StatusServiceUnavailable, 4+c.chance.IntN(5)
		default:
			continue
		}
		c.h.control(http.MethodPost, "/control/faults", fault, nil)
	}
}

// kill kills one of the two services at a random moment of the next half second, and starts it again.
func (c *course) kill() {
	c.h.t.Helper()
	moment := time.NewTimer(time.Duration(c.chance.IntN(500)) * time.Millisecond)
	<-moment.C
	c.kills++
	if c.chance.IntN(2) == 0 {
		c.poller.Kill()
		c.poller = c.h.start(programPoller)
		return
	}
	c.retrier.Kill()
	c.retrier = c.h.start(programDLQRetry)
}

// live changes the customer's users in rounds, polls them, and kills services meanwhile.
func (c *course) live() {
	c.h.t.Helper()
	for range killRounds {
		users := c.h.activeUsers(c.customer)
		edits := []map[string]any{}
		for _, at := range c.chance.Perm(len(users))[:60] {
			edits = append(edits, map[string]any{"id": users[at].ID, "phone": fmt.Sprintf("+1%010d", c.chance.Uint32())})
		}
		c.h.batch(c.customer, map[string]any{"edits": edits, "add": 3})
		c.h.advance(20 * time.Second)
		c.h.poll(c.customer)
		c.kill()
		c.kill()
	}
}

// settle waits until no poll is under way and no letter waits for a retry.
func (c *course) settle() {
	c.h.t.Helper()
	c.h.advance(2 * time.Minute) // longer than every claim of the killed services
	c.h.await(longest, c.customer+": the last poll ends", func() bool {
		return c.h.count(`SELECT count(*) FROM runs WHERE kind <> 'backfill' AND customer_id = $1`, c.customer) == 0
	})
	before := c.h.polls(c.customer)
	c.h.await(longest, c.customer+": a poll of what changed last", func() bool {
		if c.h.polls(c.customer) > before {
			return true
		}
		if c.h.count(`SELECT count(*) FROM runs WHERE kind <> 'backfill' AND customer_id = $1`, c.customer) == 0 {
			c.h.poll(c.customer)
		}
		return false
	})
	c.h.await(longest, c.customer+": what waits is retried", func() bool {
		waiting := c.h.count(`SELECT count(*) FROM dead_letters WHERE customer_id = $1 AND state = 'waiting'`, c.customer)
		if waiting > 0 {
			c.h.advance(20 * time.Second)
		}
		return waiting == 0
	})
}

// requireNothingLost compares each user's current version with the destination and the letters.
func (c *course) requireNothingLost() {
	f := c.h
	f.t.Helper()
	type known struct {
		ID     string
		Mapped *time.Time
		Letter *time.Time
	}
	rows, err := f.pool.Query(f.t.Context(), `
		SELECT coalesce(m.vomo_user_id, l.record_id), m.last_synced_updated_at, l.source_updated_at
		FROM (SELECT vomo_user_id, last_synced_updated_at FROM user_mappings WHERE customer_id = $1) m
		FULL JOIN (SELECT record_id, source_updated_at FROM dead_letters WHERE customer_id = $1 AND state <> 'settled') l
		ON l.record_id = m.vomo_user_id`, c.customer)
	require.NoError(f.t, err)
	found, err := pgx.CollectRows(rows, pgx.RowToStructByPos[known])
	require.NoError(f.t, err)
	versions := map[string]known{}
	letters := 0
	for _, row := range found {
		versions[row.ID] = row
		if row.Letter != nil {
			letters++
			require.False(f.t, row.Mapped != nil && row.Letter.Before(*row.Mapped), "%s: the letter of %s is older than its mapping", c.customer, row.ID)
		}
	}
	for _, user := range f.activeUsers(c.customer) {
		row := versions[user.ID.String()]
		arrived := row.Mapped != nil && row.Mapped.Equal(user.UpdatedAt)
		lettered := row.Letter != nil && row.Letter.Equal(user.UpdatedAt)
		require.True(f.t, arrived || lettered, "%s: user %s is neither at the destination nor in a letter", c.customer, user.ID)
	}
	result := f.compare(c.customer)
	require.Equal(f.t, letters, result.Missing+result.Different, "who is not the same has a letter")
	require.Zero(f.t, f.count(`SELECT count(*) FROM dead_letters WHERE customer_id = $1 AND state <> 'settled' AND error_class = 'retryable'`, c.customer),
		"what failed for a while has arrived by itself")
	require.Zero(f.t, result.Extra)
}

func TestNothingIsLostWhenPollerAndRetrierAreKilledAtRandomMoments(t *testing.T) {
	t.Parallel()
	settings := map[string]string{"CLAIM_TIMEOUT": "5s", "LOG_LEVEL": "info"}
	maps.Copy(settings, fast)
	f := newFixture(t, settings)
	f.advance(0)
	f.start(programOnboarding)
	f.start(programBackfill)
	poller, retrier := f.start(programPoller), f.start(programDLQRetry)
	kills, permanent, transient := 0, 0, 0
	for seed := *killFrom; seed < *killFrom+*killSeeds; seed++ {
		c := &course{
			h: f, customer: fmt.Sprintf("seed-%d", seed), chance: rand.New(rand.NewPCG(uint64(seed), 1)), poller: poller, retrier: retrier,
		}
		f.organisation(c.customer, killUsers)
		c.fail(f.activeUsers(c.customer))
		f.onboard(c.customer)
		f.awaitState(c.customer, "completed", longest)
		c.live()
		c.settle()
		c.requireNothingLost()
		poller, retrier = c.poller, c.retrier
		kills += c.kills
		permanent += f.count(`SELECT count(*) FROM dead_letters WHERE customer_id = $1 AND state = 'review'`, c.customer)
		transient += f.count(`SELECT count(*) FROM dead_letters WHERE customer_id = $1 AND error_class = 'retryable'`, c.customer)
	}
	t.Logf("%d courses, %d kills: %d letters of what failed for a while, all settled; %d open in review", *killSeeds, kills, transient, permanent)
	require.NotZero(t, permanent)
	require.NotZero(t, transient)
	f.await(soon, "the stream shows the open letters, and nothing else", func() bool {
		return f.publishedLetters() == f.count(`SELECT count(*) FROM dead_letters WHERE state <> 'settled'`)
	})
}

// publishedLetters returns how many messages ROLLCALL_DLQ has.
func (f *fixture) publishedLetters() int {
	f.t.Helper()
	return f.messages(bus.StreamDLQ, ">")
}

// messages returns how many messages a stream has on the matching subjects.
func (f *fixture) messages(name, filter string) (count int) {
	f.t.Helper()
	stream, err := f.js.Stream(f.t.Context(), name)
	require.NoError(f.t, err)
	info, err := stream.Info(f.t.Context(), jetstream.WithSubjectFilter(filter))
	require.NoError(f.t, err)
	for _, messages := range info.State.Subjects {
		count += int(messages)
	}
	return count
}

// letterIDs returns the ids of the letters in ROLLCALL_DLQ.
func (f *fixture) letterIDs() map[string]bool {
	f.t.Helper()
	ids := map[string]bool{}
	for _, message := range f.events(bus.StreamDLQ, "rollcall.dlq.>") {
		var letter struct{ LetterID json.RawMessage }
		require.NoError(f.t, json.Unmarshal(message.Data(), &letter))
		ids[string(letter.LetterID)] = true
	}
	return ids
}
