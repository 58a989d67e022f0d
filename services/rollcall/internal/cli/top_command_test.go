package cli

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"
	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/report"
	"rollcall.dev/pkg/service"
)

// aBoard has a customer that needs a person, one in its backfill, and a healthy one.
func aBoard() report.BoardReply {
	return report.BoardReply{
		AsOf: testTime, Count: 3, States: map[string]int{"needs-you": 1, "starting": 1, "healthy": 1},
		Customers: []report.BoardCustomer{
			{
				CustomerID: "umbrella", State: "needs-you", Reasons: 2, LagSeconds: new(int64(5400)), OpenLetters: 12,
				Reason: &report.Reason{Code: "destination_down", Unhealthy: true},
			},
			{
				CustomerID: "acme", State: "starting", Rates: &report.BoardRates{Runs: 1, RecordsPerMinute: 1459.5, RequestsPerMinute: 97.3, RequestsAllowed: 100},
				Backfill: &operatorapi.BackfillInShort{State: "running", Processed: 1200, Total: new(int64(5000)), EtaSeconds: new(int64(160))},
			},
			{CustomerID: "globex", State: "healthy", LagSeconds: new(int64(45)), Backfill: &operatorapi.BackfillInShort{State: "completed"}},
		},
		Rates: report.BoardRates{Runs: 1, RecordsPerMinute: 1459.5, RequestsPerMinute: 97.3, RequestsAllowed: 100},
		Queues: []report.BoardQueue{
			{Stream: "ROLLCALL_ONBOARDING"}, {Stream: "ROLLCALL_EVENTS", Messages: 1234, OldestSeconds: new(int64(200000))},
		},
	}
}

func TestTopWithoutATerminalPrintsOneSnapshot(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.answers("board", "show", always(aBoard()))
	got := f.run("top")
	require.Zero(t, got.code, got.stderr)
	require.Equal(t, strings.TrimPrefix(`
2026-11-20 08:00:00 UTC  3 customers: 1 needs-you, 1 starting, 1 healthy
1 run under way: 1,460 records/min, 97.3 of 100 requests/min

CUSTOMER  STATE      LAG    BACKFILL                            LETTERS  RECORDS/MIN  REQUESTS/MIN  REASON
umbrella  needs-you  1h30m  -                                   12       -            -             destination_down (+1)
acme      starting   -      running 1,200/5,000 24% 2m40s left  0        1,460        97.3 of 100   -
globex    healthy    45s    completed                           0        -            -             -

STREAM               MESSAGES  OLDEST
ROLLCALL_ONBOARDING  0         -
ROLLCALL_EVENTS      1,234     2d07h
`, "\n"), got.stdout)
	f.process.StdoutTerminal = true
	require.Equal(t, got, f.run("top", "--once"))
	require.Equal(t, aBoard(), document[report.BoardReply](t, f.run("top", "--json")))
	require.Empty(t, f.waits)
}

func TestTopSaysWhichServiceDoesNotAnswer(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.process.StdoutTerminal = true
	got := f.run("top")
	require.Equal(t, exitFailed, got.code)
	require.Contains(t, got.stderr, "onboarding")
}

func TestTopOnATerminalEndsWithQ(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.process.StdoutTerminal, f.process.Stdin = true, strings.NewReader("q")
	f.answers("board", "show", always(aBoard()))
	got := f.run("top")
	require.Zero(t, got.code, got.stderr)
	require.Contains(t, got.stdout, "\x1b[?1049h", "the view has a screen of its own")
	require.Contains(t, got.stdout, "\x1b[?1049l")
}

// liveView is the model of a live view whose questions are answered by stand-ins.
type liveView struct {
	t     *testing.T
	model tea.Model
}

func (f *fixture) top(first report.BoardReply) *liveView {
	f.t.Helper()
	a := &app{Process: f.process, out: &output{}, log: &output{}}
	a.nats.timeout = defaultTimeout
	on, err := a.connect()
	require.NoError(f.t, err)
	f.t.Cleanup(on.close)
	return &liveView{t: f.t, model: newTopModel(a.topSource(f.t.Context(), on), first)}
}

// send passes a message to the model, and returns the command that it wants to be run.
func (v *liveView) send(message tea.Msg) (then tea.Cmd) {
	v.t.Helper()
	v.model, then = v.model.Update(message)
	return then
}

func (v *liveView) press(key string) tea.Cmd {
	v.t.Helper()
	keys := map[string]tea.KeyPressMsg{"enter": {Code: tea.KeyEnter}, "esc": {Code: tea.KeyEscape}, "down": {Code: tea.KeyDown}}
	pressed, special := keys[key]
	if !special {
		pressed = tea.KeyPressMsg{Code: rune(key[0]), Text: key}
	}
	return v.send(pressed)
}

// refresh lets the time for the next question come, and its answers.
func (v *liveView) refresh() {
	v.t.Helper()
	asked, ok := v.send(topTick{})().(tea.BatchMsg)
	require.True(v.t, ok)
	for _, ask := range asked {
		v.send(ask())
	}
}

func (v *liveView) screen() string { return v.model.View().Content }

// cursor returns the line under the cursor.
func (v *liveView) cursor() string {
	v.t.Helper()
	_, rest, found := strings.Cut(v.screen(), "\x1b[7m")
	require.True(v.t, found, v.screen())
	line, _, _ := strings.Cut(rest, "\x1b[")
	return line
}

func TestTopRefreshesAndKeepsTheCursorOnItsCustomer(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	later := aBoard()
	later.Customers[0], later.Customers[1] = later.Customers[1], later.Customers[0]
	later.Customers[0].State = "needs-you"
	f.answers("board", "show", func(n int, question []byte) (any, string) {
		if string(question) != `{"limit":100}` {
			return string(question), service.CodeBadRequest
		}
		return []any{later, "the database is away"}[n-1], []string{noCode, service.CodeBusy}[n-1]
	})
	v := f.top(aBoard())
	require.Regexp(t, `^umbrella +needs-you +1h30m`, v.cursor())
	require.Contains(t, v.screen(), "97.3 of 100 requests/min")
	require.Contains(t, v.screen(), "streams: events 1,234 (oldest 2d07h)")
	v.press("j")
	require.Regexp(t, `^acme +starting`, v.cursor())

	v.refresh()
	require.Regexp(t, `^acme +needs-you`, v.cursor(), "it is the first now")
	v.press("k")
	v.press("down")
	require.Regexp(t, `^umbrella`, v.cursor())
	v.press("j")
	v.press("j")
	require.Regexp(t, `^globex`, v.cursor(), "the last")

	v.refresh()
	require.Contains(t, v.screen(), "Not refreshed: ")
	require.Contains(t, v.screen(), "umbrella", "what was known is still shown")
	require.Equal(t, topTick{}, v.send(boardMsg{board: later})(), "and it is asked again")
	require.NotContains(t, v.screen(), "Not refreshed")
	require.Equal(t, []time.Duration{topInterval}, f.waits)
}

func TestTopPausedAsksNothing(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.answers("board", "show", func(int, []byte) (any, string) { return "asked", service.CodeBadRequest })
	v := f.top(aBoard())
	require.Nil(t, v.press("p"))
	require.Contains(t, v.screen(), "PAUSED")
	require.Equal(t, topTick{}, v.send(topTick{})(), "it only waits again")
	v.press("p")
	require.NotContains(t, v.screen(), "PAUSED")
	v.refresh()
	require.Contains(t, v.screen(), "Not refreshed: ")
	require.IsType(t, tea.QuitMsg{}, v.press("q")())
}

func TestTopShowsWhatIsWrongWithACustomerAndWhatHelps(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.answers("status", "get", func(n int, data []byte) (any, string) {
		var question report.StatusQuestion
		if json.Unmarshal(data, &question) != nil || question.CustomerID != "umbrella" {
			return "a bad question", service.CodeBadRequest
		}
		status := report.Status{CustomerID: "umbrella", Health: report.Health{IsHealthy: new(false), Reasons: []report.Reason{
			{Code: "destination_down", Text: "It answers\x1b[2J nothing.", Remedy: "Ask the customer.", Unhealthy: true, Since: &testTime},
			{Code: "quiet_hours", Text: "They are quiet.", Until: &testTime},
		}}}
		if n > 1 {
			status.Health = report.Health{IsHealthy: new(true)}
		}
		return status, noCode
	})
	f.answers("board", "show", always(aBoard()))
	v := f.top(aBoard())
	asked := v.press("enter")
	require.Contains(t, v.screen(), "umbrella: asking")
	v.send(statusMsg{customer: "acme", status: report.Status{CustomerID: "acme"}})
	require.Contains(t, v.screen(), "umbrella: asking", "an answer about another customer comes too late")
	v.send(asked())
	shown := ansi.Strip(v.screen())
	require.Contains(t, shown, "umbrella  healthy: no\n\ndestination_down (unhealthy, since 2026-11-20 08:00:00 UTC)\n"+
		"  It answers [2J nothing.\n  Ask the customer.\n")
	require.Contains(t, shown, "quiet_hours (for information, tried again 2026-11-20 08:00:00 UTC)\n  They are quiet.\n")
	require.NotContains(t, shown, "RECORDS/MIN")
	v.press("j")
	v.refresh()
	require.Contains(t, v.screen(), "Nothing is wrong.")
	v.press("esc")
	require.Regexp(t, `^umbrella`, v.cursor())
	require.Nil(t, v.model.(topModel).askStatus(), "it is asked about no longer")
}

func TestTopFitsTheTerminal(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	board := aBoard()
	for range 60 {
		board.Customers = append(board.Customers, board.Customers[2])
	}
	for i := range board.Customers {
		board.Customers[i].CustomerID = strings.Repeat("x", 40) + string(rune('0'+i))
	}
	v := f.top(board)
	v.send(tea.WindowSizeMsg{Width: 50, Height: 12})
	for range 70 {
		lines := strings.Split(v.screen(), "\n")
		require.Len(t, lines, 12)
		for _, line := range lines {
			require.LessOrEqual(t, ansi.StringWidth(line), 50)
		}
		require.NotEmpty(t, v.cursor(), "the cursor is always on the screen")
		v.press("j")
	}
	v.send(tea.WindowSizeMsg{})
	require.Empty(t, v.screen())
}
