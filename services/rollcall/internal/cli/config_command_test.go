package cli

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/report"
	"rollcall.dev/pkg/service"
)

var moment1 = time.Date(2026, 11, 20, 8, 0, 0, 0, time.UTC)

// manyCustomers answers like the service: by id, in pages of what was asked for.
func manyCustomers(count int) func(int, []byte) (any, string) {
	return func(_ int, data []byte) (any, string) {
		var question report.CustomersQuestion
		if err := json.Unmarshal(data, &question); err != nil || question.Limit < 1 || question.Limit > 100 {
			return fmt.Sprintf("a bad question: %s", data), service.CodeBadRequest
		}
		page := report.CustomersReply{AsOf: moment1, Customers: []report.Customer{}}
		for i := 1; i <= count && len(page.Customers) < int(question.Limit); i++ {
			id := fmt.Sprintf("customer-%04d", i)
			if id <= question.After {
				continue
			}
			page.Customers = append(page.Customers, report.Customer{
				CustomerID: id, Enabled: true, OnboardedAt: moment1, Destination: report.DestinationHost{Kind: "rest", Host: "crm.example"},
				PollCadenceMinutes: 30, UsersMirrored: 1200, OpenLetters: 2, Alerts: []string{"destination_down"},
				IsHealthy: new(false), LastPolledAt: new(moment1.Add(-90 * time.Minute)), PausedAt: &moment1,
				Backfill: &report.BackfillInShort{ID: 7, State: "parked", ParkReason: new("destination_down"), Processed: 1200, Total: new(int64(5000))},
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
	i := newInstallation(t)
	i.answers("customers", "ls", manyCustomers(250))
	all := document[report.CustomersReply](t, i.run("customer", "ls", "--all", "--json"))
	require.Len(t, all.Customers, 250)
	require.Nil(t, all.Next)
	got := i.run("customer", "ls", "--limit", "1")
	require.Zero(t, got.code)
	lines := strings.Split(strings.TrimSpace(got.stdout), "\n")
	require.Len(t, lines, 2)
	require.Regexp(t, `^CUSTOMER +ENABLED +HEALTHY +DESTINATION +CADENCE +POLLED +BACKFILL +USERS +ONBOARDED +LETTERS +ALERTS$`, lines[0])
	require.Regexp(t, `^customer-0001 +paused +no +rest crm.example +30m +1h30m ago +parked \(destination_down\) 1,200/5,000 +1,200 +`+
		`2026-11-20 08:00:00 UTC +2 +destination_down$`, lines[1])
	require.Contains(t, got.stderr, "--all")
}

func TestNoCustomersAreAnEmptyList(t *testing.T) {
	t.Parallel()
	i := newInstallation(t)
	i.answers("customers", "ls", manyCustomers(0))
	require.JSONEq(t, `{"asOf":"2026-11-20T08:00:00Z","customers":[],"next":null}`, i.run("customer", "ls", "--json").stdout)
	require.Empty(t, i.run("customer", "ls").stdout)
}

func TestACommandOnABackfillSaysWhatFollowsFromIt(t *testing.T) {
	t.Parallel()
	i := newInstallation(t)
	run := report.Backfill{ID: 12, CustomerID: "acme", State: "paused", Processed: 1500}
	i.answers("backfills", "pause", always(report.BackfillCommanded{Action: report.BackfillPaused, Backfill: run}))
	run.State = "queued"
	i.answers("backfills", "start", func(_ int, question []byte) (any, string) {
		if string(question) != `{"customerId":"acme","rewrite":true}` {
			return "a bad question", service.CodeBadRequest
		}
		return report.BackfillCommanded{Action: report.BackfillStarted, Backfill: run}, noCode
	})
	run.State = "cancelled"
	i.answers("backfills", "cancel", always(report.BackfillCommanded{Action: report.BackfillCancelled, Backfill: run, NotBackfilled: true}))

	require.Equal(t, result{stdout: "acme: backfill 12 paused after 1,500 users; rollcall backfill start acme resumes it\n"}, i.run("backfill", "pause", "acme"))
	require.Equal(t, result{stdout: "acme: backfill 12 queued; whoever is known in this version is skipped\n"}, i.run("backfill", "start", "acme", "--rewrite"))
	require.Equal(t, "paused", document[report.BackfillCommanded](t, i.run("backfill", "pause", "acme", "--json")).Action)

	refused := i.run("backfill", "cancel", "acme")
	require.Equal(t, exitUsage, refused.code, "without a terminal to ask on it needs --force")
	cancelled := i.run("backfill", "cancel", "acme", "--force")
	require.Zero(t, cancelled.code)
	require.Contains(t, cancelled.stdout, "not backfilled")
}

func TestACancelOnATerminalWantsTheCustomersName(t *testing.T) {
	t.Parallel()
	i := newInstallation(t)
	run := report.Backfill{ID: 12, CustomerID: "acme", State: "cancelled"}
	i.answers("backfills", "cancel", always(report.BackfillCommanded{Action: report.BackfillCancelled, Backfill: run}))
	i.process.StdinTerminal = true
	i.process.Stdin = strings.NewReader("y\nacme\n")
	got := i.run("backfill", "cancel", "acme")
	require.Equal(t, exitFailed, got.code)
	require.Contains(t, got.stderr, "not cancelled")
	require.Zero(t, i.run("backfill", "cancel", "acme").code)
}

func TestUnknownCustomersAndRefusalsAreExitStatusOne(t *testing.T) {
	t.Parallel()
	i := newInstallation(t)
	for _, verb := range []string{"start", "pause", "cancel"} {
		i.answers("backfills", verb, unknown)
	}
	i.answers("config", "get", unknown)
	i.answers("config", "set", unknown)
	i.answers("users", "resync", unknown)
	for _, args := range [][]string{
		{"backfill", "start", "globex"}, {"backfill", "pause", "globex", "--json"}, {"backfill", "cancel", "globex", "--force"},
		{"config", "show", "globex", "--json"}, {"config", "set", "globex", "--cadence", "15"}, {"resync", "globex", "1", "--json"},
	} {
		require.Equal(t, globexUnknown(), i.run(args...), args)
	}
}

func TestAConflictIsToldInTheServicesWords(t *testing.T) {
	t.Parallel()
	i := newInstallation(t)
	i.answers("backfills", "start", func(int, []byte) (any, string) { return "it is under way", service.CodeConflict })
	require.Equal(t, result{code: 1, stderr: "rollcall: it is under way\n"}, i.run("backfill", "start", "acme"))
}

func TestAResyncSaysWhatBecameOfTheUser(t *testing.T) {
	t.Parallel()
	for outcome, want := range map[string]struct {
		code int
		text string
	}{
		report.ResyncWritten:          {0, "written, as of 2026-11-20 08:00:00 UTC; that version was known already, and was sent again"},
		report.ResyncOlder:            {1, "older than the known one"},
		report.ResyncDestinationNewer: {1, "the destination says that it has a newer version"},
		report.ResyncNotFound:         {1, "nothing was deleted"},
		report.ResyncLetter:           {1, "dead letter L-1 is open for it (email_invalid, permanent)"},
	} {
		i := newInstallation(t)
		i.answers("users", "resync", always(report.Resync{
			CustomerID: "acme", VomoID: "8205", Outcome: outcome, UpdatedAt: &moment1, KnownUpdatedAt: &moment1, WasCurrent: true,
			Letter: &report.OpenLetter{ID: "L-1", ErrorCode: "email_invalid", ErrorClass: "permanent"},
		}))
		got := i.run("resync", "acme", "8205")
		require.Equal(t, want.code, got.code, outcome)
		require.Contains(t, got.stdout+got.stderr, want.text)
		asJSON := i.run("resync", "acme", "8205", "--json")
		require.Equal(t, want.code, asJSON.code)
		require.Equal(t, outcome, document[report.Resync](t, asJSON).Outcome)
	}
}

func TestSettingsAreChangedAsAskedAndTheChangeIsShown(t *testing.T) {
	t.Parallel()
	i := newInstallation(t)
	var asked report.ConfigChange
	i.answers("config", "set", func(_ int, question []byte) (any, string) {
		if err := json.Unmarshal(question, &asked); err != nil {
			return err.Error(), service.CodeBadRequest
		}
		return report.ConfigChanged{CustomerID: "acme", Changes: []report.Change{
			{Field: "pollCadenceMinutes", From: 30, To: 15}, {Field: "limits.requestsPerMinute", From: 0.0, To: nil}, {Field: "destination.token"},
			{Field: report.FieldAdminEmail, From: "it@acme.example", To: nil},
		}, Backfill: &report.Backfill{ID: 3, State: "queued"}}, noCode
	})
	got := i.run("config", "set", "acme", "--cadence", "15", "--requests-per-second", "2.5", "--rpm", "default", "--admin-email", "",
		"--destination-url", "https://crm.example", "--new-system")
	require.Zero(t, got.code, got.stderr)
	require.Equal(t, "acme: pollCadenceMinutes 30 -> 15\nacme: limits.requestsPerMinute 0 -> default\n"+
		"acme: destination.token changed\nacme: adminEmail it@acme.example -> none\nacme: backfill 3 queued\n", got.stdout)
	require.Equal(t, report.ConfigChange{
		CustomerID: "acme", PollCadenceMinutes: new(int32(15)), RequestsPerSecond: new(2.5),
		Unset:             []string{report.FieldAdminEmail, report.FieldRequestsPerMinute},
		ExternalSystemURL: new("https://crm.example"), DestinationChange: report.DestinationNewSystem,
	}, asked)
	for _, args := range [][]string{
		{"config", "set", "acme"}, {"config", "set", "acme", "--rps", "many"}, {"config", "set", "acme", "--moved", "--new-system"},
	} {
		require.Equal(t, exitUsage, i.run(args...).code, args)
	}
}

func TestErrorsOfFieldsAreListedEachWithItsRemedy(t *testing.T) {
	t.Parallel()
	i := newInstallation(t)
	stop := i.refuses("config", "set", service.CodeBadRequest, `{"errors":{"adminEmail":["is not an e-mail address"]}}`)
	defer stop()
	require.Equal(t, result{code: 1, stderr: "rollcall: nothing was changed:\n  adminEmail: is not an e-mail address\n"},
		i.run("config", "set", "acme", "--admin-email", "nobody"))
}

func TestABusyLaneIsTriedAgain(t *testing.T) {
	t.Parallel()
	i := newInstallation(t)
	i.answers("config", "set", func(n int, _ []byte) (any, string) {
		if n < 3 {
			return "a job did not let go", service.CodeBusy
		}
		return report.ConfigChanged{CustomerID: "acme"}, noCode
	})
	got := i.run("config", "set", "acme", "--destination-url", "https://crm.example", "--moved")
	require.Zero(t, got.code)
	require.Len(t, i.waits, 2)
	require.Equal(t, 1, strings.Count(got.stderr, "trying again"))
}

func TestAConfigIsShown(t *testing.T) {
	t.Parallel()
	i := newInstallation(t)
	i.answers("config", "get", always(report.Config{
		CustomerID: "acme", Enabled: true, ExternalSystemURL: "https://crm.example/v1", DestinationKind: "rest", PollCadenceMinutes: 15,
		Limits: report.ConfigLimits{RequestsPerMinute: new(50.0)}, PausedAt: &moment1, BackfillNotBefore: &moment1,
		QuietHours: &report.QuietHours{From: "08:00", To: "18:00", Zone: "America/Chicago", Weekdays: []string{"mon", "fri"}},
	}))
	got := i.run("config", "show", "acme")
	require.Zero(t, got.code)
	for _, want := range []string{
		`destination +rest https://crm.example/v1`, `poll cadence +15 minutes`, `requests a second +as the installation`, `requests a minute +50`,
		`paused +since 2026-11-20 08:00:00 UTC`, `backfill not before +2026-11-20T08:00:00Z`, `quiet hours +08:00-18:00 America/Chicago mon,fri`,
	} {
		require.Regexp(t, want, got.stdout)
	}
}
