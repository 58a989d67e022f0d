package cli

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/report"
)

// manyRuns answers like the service: newest first, in pages of what was asked for.
func manyRuns(count int64) func(int, []byte) (any, string) {
	return func(_ int, data []byte) (any, string) {
		var question report.BackfillsQuestion
		if err := json.Unmarshal(data, &question); err != nil || question.Limit < 1 || question.Limit > 200 {
			return fmt.Sprintf("a bad question: %s", data), "400"
		}
		id := count
		if question.Before > 0 {
			id = question.Before - 1
		}
		page := report.BackfillsReply{Backfills: []report.Backfill{}}
		for ; id > 0 && len(page.Backfills) < int(question.Limit); id-- {
			page.Backfills = append(page.Backfills, report.Backfill{
				ID: id, CustomerID: fmt.Sprintf("customer-%d", id), State: "running", Processed: 1200, Total: new(int64(5000)),
				RequestsPerMinute: new(97.3), EtaSeconds: new(int64(4000)), CreatedAt: time.Date(2026, 11, 20, 8, 0, 0, 0, time.UTC),
			})
		}
		if len(page.Backfills) == int(question.Limit) {
			page.Next = &page.Backfills[len(page.Backfills)-1].ID
		}
		return page, noCode
	}
}

func TestTheListStopsAtItsLimitAndSaysThatThereIsMore(t *testing.T) {
	t.Parallel()
	i := newInstallation(t)
	i.answers("backfills", "ls", manyRuns(450))
	got := i.run("backfill", "ls", "--limit", "2")
	require.Zero(t, got.code)
	lines := strings.Split(strings.TrimSpace(got.stdout), "\n")
	require.Len(t, lines, 3)
	require.Regexp(t, `^ID +CUSTOMER +STATE +USERS +OF`, lines[0])
	require.Regexp(t, `^450 +customer-450 +running +1,200 +5,000 +0 +97\.3 +1h06m +2026-11-20 08:00:00 UTC$`, lines[1])
	require.Contains(t, got.stderr, "--all")
}

func TestTheListAsJSONIsOneDocumentHoweverManyPagesItTook(t *testing.T) {
	t.Parallel()
	i := newInstallation(t)
	i.answers("backfills", "ls", manyRuns(450))

	all := document[report.BackfillsReply](t, i.run("backfill", "ls", "--all", "--json"))
	require.Len(t, all.Backfills, 450)
	require.Nil(t, all.Next)
	require.Equal(t, int64(1), all.Backfills[449].ID)

	some := document[report.BackfillsReply](t, i.run("backfill", "ls", "--limit", "300", "--json"))
	require.Len(t, some.Backfills, 300)
	require.Equal(t, int64(151), *some.Next)
}

func TestAnEmptyListIsAnEmptyListAndNoError(t *testing.T) {
	t.Parallel()
	i := newInstallation(t)
	i.answers("backfills", "ls", manyRuns(0))
	got := i.run("backfill", "ls", "--json")
	require.Zero(t, got.code)
	require.JSONEq(t, `{"backfills":[],"next":null}`, got.stdout)
	got = i.run("backfill", "ls")
	require.Zero(t, got.code)
	require.Empty(t, got.stdout)
}
