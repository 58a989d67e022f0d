//go:build long

package acceptance_test

import (
	"flag"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/testkit"
)

var previous = flag.String("previous", "", "folder with the programs of the previous version (make test/long builds them)")

const (
	upgradeUsers  = 1500
	letterUsers   = 3000
	reviewLetters = 1000
	waitLetters   = 200
)

var upgradeServices = []string{
	programOnboarding, programBackfill, programPoller, programReconciler, programDLQRetry, programNotifier,
}

// upgrade replaces the services of an installation of the previous version one by one.
type upgrade struct {
	*fixture
	running map[string]*testkit.Process
	rounds  int
}

// run runs a command of one of the two versions, which must succeed.
func (u *upgrade) run(binary string, args ...string) {
	u.t.Helper()
	command := testkit.Program(u.t, programRollcall, testkit.ProgramConfig{Args: args, Env: u.env, Binary: binary})
	require.Zero(u.t, command.Wait(), command.Output())
}

func previousProgram(importPath string) string {
	return filepath.Join(*previous, filepath.Base(importPath))
}

// replace stops a service as an orchestrator does, and starts the new version in its place.
func (u *upgrade) replace(program string) {
	u.t.Helper()
	require.Zero(u.t, u.running[program].Stop(), "the previous %s drains", program)
	u.running[program] = u.start(program)
}

// requireAlive edits users of a customer, onboards another customer, and waits until both have arrived: whatever
// services are of which version.
func (u *upgrade) requireAlive() {
	u.t.Helper()
	u.rounds++
	u.batch("steady", map[string]any{"edits": []map[string]any{
		{"id": 1001 + u.rounds, "phone": fmt.Sprintf("+1%010d", u.rounds)}, {"id": 1030, "phone": fmt.Sprintf("+2%010d", u.rounds)},
	}})
	u.await(longest, "an edited user arrives", func() bool {
		u.poll("steady")
		return u.compare("steady").Different == 0
	})
	customer := fmt.Sprintf("new-%d", u.rounds)
	u.organisation(customer, 40)
	u.onboard(customer)
	u.awaitState(customer, "completed", longest)
	u.requireMirrored(customer, 40)
}

// openLetters returns what identifies each open letter, its state and its error code.
func (u *upgrade) openLetters() []string {
	u.t.Helper()
	rows, err := u.pool.Query(u.t.Context(), `SELECT id::text || ' ' || kind || ' ' || state || ' ' || record_id || ' ' || coalesce(error_code, '')
		FROM dead_letters WHERE state <> 'settled' ORDER BY id`)
	require.NoError(u.t, err)
	letters, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(u.t, err)
	return letters
}

// openLetterIDs returns the ids of the open letters, in order.
func (u *upgrade) openLetterIDs() []string {
	u.t.Helper()
	rows, err := u.pool.Query(u.t.Context(), `SELECT id::text FROM dead_letters WHERE state <> 'settled' ORDER BY 1`)
	require.NoError(u.t, err)
	ids, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(u.t, err)
	return ids
}

// lettersBySubject returns the ids of the letters that have a subject of their own in ROLLCALL_DLQ, in order.
func (u *upgrade) lettersBySubject() []string {
	u.t.Helper()
	stream, err := u.js.Stream(u.t.Context(), bus.StreamDLQ)
	require.NoError(u.t, err)
	info, err := stream.Info(u.t.Context(), jetstream.WithSubjectFilter("rollcall.dlq.*.*.*.*"))
	require.NoError(u.t, err)
	var ids []string
	for subject := range info.State.Subjects {
		ids = append(ids, subject[strings.LastIndexByte(subject, '.')+1:])
	}
	slices.Sort(ids)
	return ids
}

// failRecords has the CRM reject 1,000 records for good and answer 503 for 200 others.
func (u *upgrade) failRecords() {
	u.t.Helper()
	var rejected, failing []string
	for i := range letterUsers {
		record := fmt.Sprintf("vomo-%d", 1001+i)
		switch {
		case i%3 == 0 && len(rejected) < reviewLetters:
			rejected = append(rejected, record)
		case i%15 == 1 && len(failing) < waitLetters:
			failing = append(failing, record)
		}
	}
	u.control(http.MethodPost, "/control/faults", map[string]any{
		"target": "crm", "tenant": "letters", "kind": "status", "status": 422, "code": "phone_refused", "records": rejected,
	}, nil)
	u.control(http.MethodPost, "/control/faults", map[string]any{
		"target": "crm", "tenant": "letters", "kind": "status", "status": 503, "records": failing,
	}, nil)
}

// silence has VOMO answer 503 for an organisation, and waits until the customer's run of this kind is parked for it.
func (u *upgrade) silence(customer, table string) {
	u.t.Helper()
	u.awaitRow(customer+" has read some pages", `SELECT coalesce(max(pages), 0) >= 5 FROM `+table+` WHERE customer_id = $1`, customer)
	u.control(http.MethodPost, "/control/faults", map[string]any{"target": "vomo", "org": customer, "kind": "status", "status": 503}, nil)
	u.awaitRow(customer+" is parked", `SELECT count(*) = 1 FROM `+table+` WHERE customer_id = $1 AND state = 'parked'`, customer)
}

func (u *upgrade) slowVOMO(organisation string, milliseconds int) {
	u.t.Helper()
	u.control(http.MethodPost, "/control/faults", map[string]any{
		"target": "vomo", "org": organisation, "kind": "latency", "delayMs": milliseconds,
	}, nil)
}

// TestUpgradeServiceByServiceLosesNothing runs the previous version with an unfinished backfill, a parked one, an
// unfinished poll and letters, migrates beside it, and replaces service by service.
func TestUpgradeServiceByServiceLosesNothing(t *testing.T) {
	require.NotEmpty(t, *previous, "-previous names no folder: run make test/long")
	backward := slices.Clone(upgradeServices)
	slices.Reverse(backward)
	for name, order := range map[string][]string{"Forward": upgradeServices, "Backward": backward} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			testUpgrade(t, order)
		})
	}
}

func testUpgrade(t *testing.T, order []string) {
	t.Helper()
	settings := map[string]string{"VOMO_REQUESTS_PER_SECOND": "10000", "VOMO_REQUESTS_PER_MINUTE": "0", "LOG_LEVEL": "info"}
	u := &upgrade{fixture: newEmptyFixture(t, testkit.EmptyDatabase(t), settings), running: map[string]*testkit.Process{}}
	u.run(previousProgram(programRollcall), "migrate")
	startPrevious := func(program string) { u.running[program] = u.startBinary(program, previousProgram(program)) }
	for _, program := range upgradeServices {
		if program != programDLQRetry { // its attempts would share the lane with the backfill that makes the letters
			startPrevious(program)
		}
	}
	u.organisation("steady", 60)
	u.onboard("steady")
	u.awaitState("steady", "completed", longest)

	u.organisation("letters", letterUsers)
	u.failRecords()
	u.onboard("letters")
	u.organisation("polled", upgradeUsers)
	u.onboard("polled")
	u.organisation("parked", upgradeUsers)
	u.slowVOMO("parked", 300)
	u.onboard("parked")
	u.silence("parked", "backfill_runs")
	u.awaitState("letters", "completed", longest)
	startPrevious(programDLQRetry)
	u.awaitState("polled", "completed", longest)
	edits := []map[string]any{}
	for i := range upgradeUsers {
		edits = append(edits, map[string]any{"id": 1001 + i, "phone": fmt.Sprintf("+3%010d", i)})
	}
	u.batch("polled", map[string]any{"edits": edits})
	u.slowVOMO("polled", 300)
	u.poll("polled")
	u.silence("polled", "sync_runs")
	u.await(longest, "every letter is published", func() bool { return u.publishedLetters() == reviewLetters+waitLetters })
	letters := u.openLetters()
	require.Len(t, letters, reviewLetters+waitLetters)
	u.organisation("running", letterUsers)
	u.slowVOMO("running", 2000)
	u.onboard("running")
	u.awaitRow("a backfill is in progress", `SELECT coalesce(max(pages), 0) >= 2 FROM backfill_runs WHERE customer_id = $1`, "running")

	u.run("", "migrate") // the previous services go on meanwhile
	u.requireAlive()
	for _, program := range order {
		u.replace(program)
		u.requireAlive()
	}

	require.Equal(t, letters, u.openLetters(), "the same letters are open")
	u.await(longest, "the stream has each open letter once, by its own subject", func() bool {
		return u.publishedLetters() == len(letters) && slices.Equal(u.lettersBySubject(), u.openLetterIDs())
	})

	u.control(http.MethodDelete, "/control/faults", nil, nil)
	u.awaitState("running", "completed", longest)
	u.advance(20 * time.Minute) // past every park and retry delay
	u.awaitState("parked", "completed", longest)
	u.await(longest, "the poll arrives", func() bool { return u.compare("polled").Different == 0 })
	u.operator("dlq", "retry", "letters", "--all-matching", "--force")
	u.await(longest, "every letter is settled", func() bool {
		return u.count(`SELECT count(*) FROM dead_letters WHERE state <> 'settled'`) == 0
	})
	u.await(longest, "the stream is empty", func() bool { return u.publishedLetters() == 0 })

	for customer, users := range map[string]int{"running": letterUsers, "parked": upgradeUsers, "letters": letterUsers} {
		u.requireMirrored(customer, users)
		if customer != "letters" { // there, probes rewrite unchanged users
			require.Zero(t, u.traffic().CRM[customer].UnchangedWrites, "%s: no version is written twice", customer)
		}
	}
	require.Equal(t, comparison{Source: upgradeUsers, Destination: upgradeUsers, Same: upgradeUsers}, u.compare("polled"))
	polled := u.traffic().CRM["polled"]
	require.Zero(t, polled.UnchangedWrites)
	require.Equal(t, 2, polled.MaxWritesPerRecord, "the backfill's version and the poll's")
	require.Zero(t, u.count(`SELECT count(*) FROM job_log WHERE outcome = 'failed' AND job <> 'dlq_retry'`))
}
