package acceptance_test

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"os/exec"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/testkit"
)

// startMirror starts all services that work for a customer, besides onboarding.
func (f *fixture) startMirror() {
	f.t.Helper()
	for _, program := range []string{programBackfill, programPoller, programReconciler, programDLQRetry, programNotifier} {
		f.start(program)
	}
}

// offboard offboards a customer and waits until all but its mapping is gone.
func (f *fixture) offboard(customer string) {
	f.t.Helper()
	f.publish(bus.SubjectOffboard(customer), map[string]any{"customerId": customer})
	f.awaitRow("messages are erased", `SELECT step = 'erase_late_messages' FROM offboardings WHERE customer_id = '`+customer+`'`)
	f.advance(time.Minute)
	f.awaitRow("late messages are erased", `SELECT step = 'retain' FROM offboardings WHERE customer_id = '`+customer+`'`)
}

// dumpFile is what pg_dump writes of the database.
func (f *fixture) dumpFile() []byte {
	f.t.Helper()
	dump, err := exec.CommandContext(f.t.Context(), "pg_dump", "--dbname", f.database).Output()
	require.NoError(f.t, err)
	require.Contains(f.t, string(dump), "CREATE TABLE public.user_mappings")
	return dump
}

// placesOf returns in how many JetStream files, in the dump and in the logs one of the texts is found, as bytes.
func (f *fixture) placesOf(texts []string) (files, dump, logs int) {
	f.t.Helper()
	var all [][]byte
	for _, text := range texts {
		all = append(all, traces(text)...)
	}
	count := func(content []byte) (found int) {
		for _, trace := range all {
			if bytes.Contains(content, trace) {
				found++
			}
		}
		return found
	}
	return len(f.nats.FilesWith(f.t, all...)), count(f.dumpFile()), count([]byte(f.logs()))
}

// The server of this test does not encrypt its files, and the events have the records.
func TestNothingOfAnOffboardedCustomerIsAtRest(t *testing.T) {
	t.Parallel()
	f := newFixture(t, fast)
	f.env["EVENTS_INCLUDE_USER"] = "true"
	const token, users = "offtoken-5bd01e77ab", 60
	f.control(http.MethodPost, "/control/orgs", map[string]any{"name": "acme", "token": token, "users": users, "seed": 7}, nil)
	f.organisation("globex", 30)
	onboarding := f.start(programOnboarding)
	f.startMirror()
	request := f.request("acme")
	request["vomoToken"], request["adminEmail"] = token, "admin-5bd01e@acme.example"
	f.publish(bus.SubjectOnboard("acme"), request)
	f.onboard("globex")
	f.awaitState("acme", "completed", longest)
	f.awaitState("globex", "completed", longest)

	secrets := []string{token, "admin-5bd01e@acme.example", "+15550005bd0"}
	edits := []map[string]any{}
	for n := range users - 1 {
		name, email := fmt.Sprintf("Zephyrine-5bd0-%02d", n), fmt.Sprintf("zephyrine.5bd0.%02d@people.example", n)
		secrets = append(secrets, name, email)
		edits = append(edits, map[string]any{"id": 1001 + n, "first_name": name, "email": email})
	}
	f.control(http.MethodPost, "/control/faults", map[string]any{
		"target": "crm", "tenant": "acme", "kind": "status", "status": 422, "records": []string{"vomo-1007"}, "count": 1,
	}, nil)
	f.batch("acme", map[string]any{"edits": edits})
	f.batch("globex", map[string]any{"edits": []map[string]any{{"id": 1001, "first_name": "Balthasar-77c1"}}})
	f.poll("acme")
	f.poll("globex")
	f.await(longest, "the changes are in events, with their records", func() bool {
		return len(f.events(bus.StreamEvents, "rollcall.events.user.updated.acme")) == users-2 &&
			len(f.events(bus.StreamEvents, "rollcall.events.user.updated.globex")) == 1
	})
	// No service works write-backs here: the message waits, in the clear.
	f.publish("rollcall.writeback.user.acme", map[string]any{"customerId": "acme", "vomoUserId": "1001", "phone": "+15550005bd0"})
	f.await(soon, "the letter is in its stream", func() bool { return f.subjects(bus.StreamDLQ, "rollcall.dlq.*.user.acme.*") == 1 })
	f.await(soon, "no poll is under way", func() bool { return f.count(`SELECT count(*) FROM runs`) == 0 })
	files, dump, logs := f.placesOf(secrets)
	t.Logf("before: found in JetStream files %d times, in the dump %d, in logs %d", files, dump, logs)
	require.Greater(t, files, users, "the test looks in the wrong place")
	require.Greater(t, dump, users/2)
	require.Zero(t, logs)

	_, err := f.pool.Exec(t.Context(), `ANALYZE`)
	require.NoError(t, err)
	const samples = `SELECT count(*) FROM pg_stats WHERE schemaname = 'public'
		AND (histogram_bounds::text LIKE '%zephyrine%' OR most_common_vals::text LIKE '%zephyrine%')`
	require.NotZero(t, f.count(samples))

	// An older request is delivered to a worker that does not settle it. It is delivered again after the offboarding.
	older, deliverAgain := f.withheldRequest(onboarding, "acme", request)
	f.offboard("acme")
	deliverAgain()
	f.awaitRow("the older request came again", fmt.Sprintf(`SELECT state = 'superseded' FROM onboarding_requests WHERE stream_seq = %d`, older))

	require.Zero(t, f.count(`SELECT count(*) FROM sync_configs WHERE customer_id = 'acme' AND (enabled OR offboarded_at IS NULL)`))
	require.Zero(t, f.count(`SELECT count(*) FROM customer_keys WHERE customer_id = 'acme'`))
	require.Len(t, f.events(bus.StreamEvents, "rollcall.events.*.*.acme"), 1, "customer.offboarded alone")
	require.Len(t, f.events(bus.StreamEvents, "rollcall.events.customer.offboarded.acme"), 1)
	require.Zero(t, f.subjects(bus.StreamDLQ, "rollcall.dlq.*.*.acme.*"))
	files, dump, logs = f.placesOf(secrets)
	require.Equal(t, [3]int{}, [3]int{files, dump, logs}, "JetStream files, dump, logs")
	require.Zero(t, f.count(samples), "samples that Postgres keeps as statistics")
	f.nats.Stop() // what the server had in memory is in its files now
	files, dump, logs = f.placesOf(secrets)
	t.Logf("after: found in JetStream files %d times, in the dump %d, in logs %d", files, dump, logs)
	require.Equal(t, [3]int{}, [3]int{files, dump, logs}, "JetStream files, dump, logs")
	files, _, _ = f.placesOf([]string{"Balthasar-77c1"})
	require.Equal(t, 1, files, "another customer's event stays")
	require.Equal(t, 30, f.count(`SELECT count(*) FROM user_mappings WHERE customer_id = 'globex' AND version_hash <> ''`))
}

// withheldRequest publishes a request and has it delivered to a worker that does not settle it, until the returned function
// has it delivered again.
func (f *fixture) withheldRequest(onboarding *testkit.Process, customer string, request map[string]any) (sequence uint64, deliverAgain func()) {
	f.t.Helper()
	onboarding.Stop()
	sequence = f.publish(bus.SubjectOnboard(customer), request)
	ctx, cancel := context.WithTimeout(f.t.Context(), soon)
	defer cancel()
	consumer, err := f.js.Consumer(ctx, bus.StreamOnboarding, bus.DurableOnboarding)
	require.NoError(f.t, err)
	withheld, err := consumer.Next(jetstream.FetchMaxWait(soon))
	require.NoError(f.t, err)
	metadata, err := withheld.Metadata()
	require.NoError(f.t, err)
	require.Equal(f.t, sequence, metadata.Sequence.Stream)

	released := make(chan struct{})
	held := errgroup.Group{}
	held.Go(func() error {
		renew := time.NewTicker(time.Second) // JetStream delivers it again 30 s after the last renewal
		defer renew.Stop()
		for {
			select {
			case <-released:
				return withheld.Nak()
			case <-f.t.Context().Done():
				return nil
			case <-renew.C:
				if err := withheld.InProgress(); err != nil {
					return err
				}
			}
		}
	})
	f.start(programOnboarding)
	return sequence, func() {
		f.t.Helper()
		close(released)
		require.NoError(f.t, held.Wait())
	}
}

// More kills by hand: go test ./services/acceptance -run OffboardingSurvivesKills -offboard-kills 100 -offboard-users 3000.
var (
	offboardKills = flag.Int("offboard-kills", 3, "how often onboarding is killed during an offboarding, and again during the purge")
	offboardUsers = flag.Int("offboard-users", 150, "users of each of the three customers")
)

func TestOffboardingSurvivesKills(t *testing.T) {
	t.Parallel()
	f := newFixture(t, fast)
	f.env["EVENTS_INCLUDE_USER"] = "true"
	customers := []string{"acme", "beta", "gamma"}
	onboarding := f.start(programOnboarding)
	f.start(programBackfill)
	f.start(programPoller)
	for _, customer := range customers {
		f.organisation(customer, *offboardUsers)
		f.onboard(customer)
	}
	for _, customer := range customers {
		f.awaitState(customer, "completed", longest)
		edits := []map[string]any{}
		for n := range *offboardUsers {
			edits = append(edits, map[string]any{"id": 1001 + n, "first_name": "Zephyrine-5bd0"})
		}
		f.batch(customer, map[string]any{"edits": edits})
		f.poll(customer)
	}
	f.await(longest, "the changes are in events", func() bool {
		return len(f.events(bus.StreamEvents, "rollcall.events.user.updated.*")) == len(customers)**offboardUsers
	})
	f.await(soon, "no run is under way", func() bool {
		return f.count(`SELECT count(*) FROM runs WHERE state NOT IN ('completed', 'cancelled')`) == 0
	})
	// killUntil kills onboarding again and again at random moments, and then lets it reach the step.
	interrupted := map[string]bool{}
	killUntil := func(step string) {
		for range *offboardKills {
			<-time.After(rand.N(200 * time.Millisecond))
			onboarding.Kill()
			rows, err := f.pool.Query(t.Context(), `SELECT step FROM offboardings WHERE step <> $1`, step)
			require.NoError(t, err)
			steps, err := pgx.CollectRows(rows, pgx.RowTo[string])
			require.NoError(t, err)
			for _, at := range steps {
				interrupted[at] = true
			}
			f.advance(time.Minute) // claims of the dead process expire
			onboarding = f.start(programOnboarding)
		}
		f.await(longest, step, func() bool {
			f.advance(time.Minute)
			return f.count(`SELECT count(*) FROM offboardings WHERE step = $1`, step) == len(customers)
		})
	}

	for _, customer := range customers {
		f.publish(bus.SubjectOffboard(customer), map[string]any{"customerId": customer})
	}
	killUntil("retain")

	files, dump, _ := f.placesOf([]string{"Zephyrine-5bd0"})
	require.Equal(t, [2]int{}, [2]int{files, dump})
	require.Zero(t, f.count(`SELECT count(*) FROM user_mappings WHERE version_hash <> '' OR last_known_email IS NOT NULL`))
	f.await(soon, "the events of a process that died are published by another", func() bool {
		return len(f.events(bus.StreamEvents, "rollcall.events.customer.offboarded.*")) == len(customers)
	})
	f.advance(31 * 24 * time.Hour)
	killUntil("purged")

	require.Zero(t, f.count(`SELECT count(*) FROM user_mappings`))
	f.await(soon, "the events of a process that died are published by another", func() bool {
		return len(f.events(bus.StreamEvents, "rollcall.events.customer.purged.*")) == len(customers)
	})
	const complete = `SELECT count(*) FROM job_log WHERE job LIKE '%offboard' AND outcome = 'success' AND processed_count = $1`
	require.Equal(t, 2*len(customers), f.count(complete, *offboardUsers), "each record is counted once")
	t.Logf("killed %d times, in the steps %v", 2**offboardKills, slices.Sorted(maps.Keys(interrupted)))
}

// since returns how many requests VOMO got, and how many records were written, for a customer since an earlier report.
func (f *fixture) since(before traffic, customer string) (requests, written int) {
	f.t.Helper()
	now := f.traffic()
	return now.VOMO[customer].Requests - before.VOMO[customer].Requests, now.CRM[customer].Writes - before.CRM[customer].Writes
}

func TestReturnOnDay29ReadsNoFullScanAndOnDay31Does(t *testing.T) {
	t.Parallel()
	f := newFixture(t, fast)
	const users = 150 // ten pages
	for _, customer := range []string{"early", "late"} {
		f.organisation(customer, users)
	}
	f.start(programOnboarding)
	f.startMirror()
	for _, customer := range []string{"early", "late"} {
		f.onboard(customer)
	}
	for _, customer := range []string{"early", "late"} {
		f.awaitState(customer, "completed", longest)
		edits := []map[string]any{}
		for id := 1001; id <= 1010; id++ {
			edits = append(edits, map[string]any{"id": id, "phone": "+15550000000"})
		}
		f.batch(customer, map[string]any{"edits": edits})
		f.poll(customer)
	}
	f.await(longest, "the edits are mirrored", func() bool { return f.compare("early").Same == users && f.compare("late").Same == users })
	f.await(soon, "no run is under way", func() bool {
		return f.count(`SELECT count(*) FROM runs WHERE state NOT IN ('completed', 'cancelled')`) == 0
	})
	f.offboard("early")
	f.offboard("late")

	f.advance(29*24*time.Hour - time.Hour)
	f.batch("early", map[string]any{"edits": []map[string]any{{"id": 1020, "email": "new@people.example"}, {"id": 1021, "phone": "+15551111111"}}})
	before := f.traffic()
	f.onboard("early")
	f.await(longest, "what changed meanwhile is mirrored", func() bool { return f.compare("early").Same == users })
	f.await(soon, "a poll is complete", func() bool {
		return f.count(`SELECT count(*) FROM runs WHERE customer_id = 'early' AND kind = 'poll'`) == 0
	})
	requests, written := f.since(before, "early")
	t.Logf("day 29: %d requests to VOMO, %d records written", requests, written)
	require.LessOrEqual(t, requests, users/15/2, "the whole list has ten pages")
	require.Equal(t, 2, written)
	require.Zero(t, f.count(`SELECT count(*) FROM all_runs r JOIN sync_configs c USING (customer_id)
		WHERE r.customer_id = 'early' AND r.kind = 'backfill' AND r.created_at >= c.onboarded_at`))
	f.await(soon, "the ten of the last poll are adopted, and the two are written", func() bool {
		return f.count(`SELECT count(*) FROM user_mappings WHERE customer_id = 'early' AND version_hash <> ''`) >= 12
	})
	require.Zero(t, f.count(`SELECT count(*) FROM alerts WHERE type = 'email_changed'`), "the address before was not known")
	f.await(soon, "both have an event", func() bool { return len(f.events(bus.StreamEvents, "rollcall.events.user.*.early")) == 2 })

	f.advance(2*24*time.Hour + time.Hour)
	f.awaitRow("the mapping is purged", `SELECT step = 'purged' FROM offboardings WHERE customer_id = 'late'`)
	require.Zero(t, f.count(`SELECT count(*) FROM user_mappings WHERE customer_id = 'late'`))
	require.Equal(t, 1, f.count(`SELECT count(*) FROM job_log WHERE customer_id = 'late' AND job = 'permanent_offboard' AND processed_count = $1`, users))
	require.Equal(t, users, f.count(`SELECT count(*) FROM user_mappings WHERE customer_id = 'early'`))
	before = f.traffic()
	f.onboard("late")
	f.await(longest, "another backfill is complete", func() bool {
		return f.count(`SELECT count(*) FROM job_log WHERE customer_id = 'late' AND job = 'initial_backfill' AND outcome = 'success'`) == 2
	})
	requests, written = f.since(before, "late")
	t.Logf("day 31: %d requests to VOMO, %d records written", requests, written)
	require.GreaterOrEqual(t, requests, users/15)
	require.Equal(t, users, written)
	require.Equal(t, users, f.count(`SELECT count(*) FROM user_mappings WHERE customer_id = 'late' AND version_hash <> ''`))
}
