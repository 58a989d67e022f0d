package cli

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/service"
)

// manyCustomers answers like the service: by id, in pages of the requested size.
func manyCustomers(count int) func(int, []byte) (any, string) {
	return func(_ int, data []byte) (any, string) {
		var question operatorapi.CustomersQuestion
		if err := json.Unmarshal(data, &question); err != nil || question.Limit < 1 || question.Limit > 100 {
			return fmt.Sprintf("a bad question: %s", data), service.CodeBadRequest
		}
		page := operatorapi.CustomersReply{AsOf: testTime, Customers: []operatorapi.Customer{}}
		for i := 1; i <= count && len(page.Customers) < int(question.Limit); i++ {
			id := fmt.Sprintf("customer-%04d", i)
			if id <= question.After {
				continue
			}
			page.Customers = append(page.Customers, operatorapi.Customer{
				CustomerID: id, Enabled: true, OnboardedAt: testTime, Destination: operatorapi.DestinationHost{Kind: "rest", Host: "crm.example"},
				PollCadenceMinutes: 30, UsersMirrored: 1200, OpenLetters: 2, Alerts: []string{"destination_down"},
				IsHealthy: new(false), LastPolledAt: new(testTime.Add(-90 * time.Minute)), PausedAt: &testTime,
				Backfill: &operatorapi.BackfillInShort{ID: 7, State: "parked", ParkReason: new("destination_down"), Processed: 1200, Total: new(int64(5000))},
			})
			if i < count {
				page.Next = &id
			} else {
				page.Next = nil
			}
		}
		return page, noCode
	}
}

func TestCustomersAreListedPageByPage(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.answers("customers", "ls", manyCustomers(250))
	all := document[operatorapi.CustomersReply](t, f.run("customer", "ls", "--all", "--json"))
	require.Len(t, all.Customers, 250)
	require.Nil(t, all.Next)
	got := f.run("customer", "ls", "--limit", "1")
	require.Zero(t, got.code)
	lines := strings.Split(strings.TrimSpace(got.stdout), "\n")
	require.Len(t, lines, 2)
	require.Regexp(t, `^CUSTOMER +ENABLED +HEALTHY +DESTINATION +CADENCE +POLLED +BACKFILL +USERS +ONBOARDED +LETTERS +ALERTS$`, lines[0])
	require.Regexp(t, `^customer-0001 +paused +no +rest crm.example +30m +1h30m ago +parked \(destination_down\) 1,200/5,000 +1,200 +`+
		`2026-11-20 08:00:00 UTC +2 +destination_down$`, lines[1])
	require.Contains(t, got.stderr, "--all")
}

func TestCustomerLsWithoutCustomersIsAnEmptyList(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.answers("customers", "ls", manyCustomers(0))
	require.JSONEq(t, `{"asOf":"2026-11-20T08:00:00Z","customers":[],"next":null}`, f.run("customer", "ls", "--json").stdout)
	require.Empty(t, f.run("customer", "ls").stdout)
}

func TestPauseAndResumeSayWhatHappensNext(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.answers("customers", "pause", inTurn(
		operatorapi.CustomerCommanded{CustomerID: "acme", Action: operatorapi.CustomerPaused, PausedAt: &testTime},
		operatorapi.CustomerCommanded{CustomerID: "acme", Action: operatorapi.CustomerAlreadyPaused, PausedAt: &testTime},
	))
	require.Equal(t, result{stdout: "acme: paused; rollcall resume acme lets it go on\n"}, f.run("pause", "acme"))
	require.Equal(t, result{stdout: "acme: was paused already, since 2026-11-20 08:00:00 UTC\n"}, f.run("customer", "pause", "acme"))

	resumed := operatorapi.CustomerCommanded{CustomerID: "acme", Action: operatorapi.CustomerResumed, Enabled: true, BackfillCompletedAt: &testTime}
	stays, goes, off, bare := resumed, resumed, resumed, resumed
	stays.Backfill, goes.Backfill, off.Enabled, bare.BackfillCompletedAt = new("paused"), new("queued"), false, nil
	none := resumed
	none.Action = operatorapi.CustomerNotPaused
	f.answers("customers", "resume", inTurn(resumed, none, stays, goes, off, bare, resumed))
	for _, want := range []string{
		"resumed; it is polled at once", "was not paused", "resumed; its backfill stays paused: rollcall backfill start acme",
		"resumed; its backfill goes on", "resumed; it is switched off, and goes on with a VOMO token that works: rollcall config set acme --vomo-token-file <file>",
		"resumed; it has no backfill under way: rollcall backfill start acme",
	} {
		require.Equal(t, result{stdout: "acme: " + want + "\n"}, f.run("resume", "acme"))
	}
	require.Equal(t, resumed, document[operatorapi.CustomerCommanded](t, f.run("customer", "resume", "acme", "--json")))
}

func TestPauseErrorIsPrintedInTheServicesWords(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.answers("customers", "pause", func(int, []byte) (any, string) { return "it was offboarded", service.CodeConflict })
	f.answers("customers", "resume", unknown)
	require.Equal(t, result{code: 1, stderr: "rollcall: it was offboarded\n"}, f.run("pause", "acme"))
	require.Equal(t, unknownGlobex(), f.run("resume", "globex"))
}
