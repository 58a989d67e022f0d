package event_test

import (
	"context"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/event"
	"rollcall.dev/pkg/store"
)

func (s *fixture) raise(ctx context.Context, kind string) error {
	return s.InTx(ctx, func(ctx context.Context, tx *store.Tx) error {
		return event.Raise(ctx, tx, event.AlertFor("acme", kind))
	})
}

func (s *fixture) clear(ctx context.Context, kind string) error {
	return s.InTx(ctx, func(ctx context.Context, tx *store.Tx) error {
		return event.Clear(ctx, tx, "acme", kind, "It works again.")
	})
}

func TestAlertIsPublishedOnceWhenRaisedAndOnceWhenCleared(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	const down = event.AlertDestinationDown

	require.NoError(t, s.clear(t.Context(), down), "nothing stands yet")
	require.Empty(t, s.outbox(t))

	var together sync.WaitGroup
	for range 4 {
		together.Go(func() {
			if err := s.raise(t.Context(), down); err != nil {
				t.Error(err)
			}
		})
	}
	together.Wait()
	require.Len(t, s.outbox(t), 1)
	for range 2 {
		require.NoError(t, s.clear(t.Context(), down))
	}

	got := s.outbox(t)
	require.Len(t, got, 2)
	raised, cleared := got[0], got[1]
	require.Equal(t, "rollcall.alerts.medium.destination_down.acme", raised.Subject)
	require.Equal(t, raised.Subject, cleared.Subject, "a subscriber to one gets both")
	require.Equal(t, raised.ID+"-cleared", cleared.ID)
	require.NotContains(t, body(t, raised), "cleared")
	require.NotEmpty(t, body(t, raised)["remedy"])
	require.Equal(t, true, body(t, cleared)["cleared"])
	require.Equal(t, "It works again.", body(t, cleared)["text"])
	require.NotEmpty(t, body(t, cleared)["at"])
}

func TestSecondOutageRaisesANewAlert(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	for range 2 {
		require.NoError(t, s.raise(t.Context(), event.AlertAuthFailed))
		require.NoError(t, s.clear(t.Context(), event.AlertAuthFailed))
	}

	ids := map[string]bool{}
	for _, message := range s.outbox(t) {
		ids[message.ID] = true
	}
	require.Len(t, ids, 4, "no stream takes the second one for a copy of the first")
}

func TestAlertsOfDifferentConditionsAreActiveIndependently(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	require.NoError(t, s.raise(t.Context(), event.AlertDestinationDown))
	require.NoError(t, s.raise(t.Context(), event.AlertAuthFailed))

	require.NoError(t, s.clear(t.Context(), event.AlertDestinationDown))

	standing, err := s.ActiveAlerts(t.Context(), "acme")
	require.NoError(t, err)
	require.Len(t, standing, 1)
	require.Equal(t, event.AlertAuthFailed, standing[0].Type)
	require.Equal(t, "high", standing[0].Severity)
}

func TestAlertThatIsNotCommittedIsNotPublished(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	crash := errors.New("the park was not committed")

	err := s.InTx(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		require.NoError(t, event.Raise(ctx, tx, event.AlertFor("acme", event.AlertDestinationDown)))
		return crash
	})
	require.ErrorIs(t, err, crash)
	require.Empty(t, s.outbox(t))

	require.NoError(t, s.raise(t.Context(), event.AlertDestinationDown))
	require.Len(t, s.outbox(t), 1)
}

func TestAlertMessageIsTheSameEachTime(t *testing.T) {
	t.Parallel()
	alert := event.AlertFor("acme", event.AlertDestinationAuthFailed)
	first, err := alert.Message("3", false, now)
	require.NoError(t, err)
	again, err := alert.Message("3", false, now)
	require.NoError(t, err)

	require.Equal(t, first, again)
	require.Equal(t, "alert-3", first.ID)
	require.Equal(t, "rollcall.alerts.high.destination_auth_failed.acme", first.Subject)
	require.Equal(t, "2026-03-02T08:30:00.000000500Z", body(t, first)["at"])
}

func TestEveryAlertIsExplainedWithARemedy(t *testing.T) {
	t.Parallel()
	fallback, _ := event.Explain("no such thing")
	codes := append(alertConstants(t), "disabled", event.ConditionOffboarded)
	require.Contains(t, codes, event.AlertBackfillFailed, "the constants were found")

	texts := map[string]string{}
	for _, code := range codes {
		text, remedy := event.ExplainFor("acme", code)
		require.NotEqual(t, strings.ReplaceAll(fallback, "no such thing", code), text, "%s has no words of its own", code)
		require.NotEmpty(t, text, code)
		require.NotEmpty(t, remedy, code)
		require.NotContains(t, remedy, "<customer>", code)
		require.Contains(t, []string{"low", "medium", "high"}, event.Severity(code))
		require.NotContains(t, texts, text, "%s and %s say the same", code, texts[text])
		texts[text] = code

		alert := event.AlertFor("acme", code)
		require.Equal(t, event.Alert{Customer: "acme", Type: code, Severity: event.Severity(code), Text: text, Remedy: remedy}, alert)
	}
}

// alertConstants are the values of this package's Alert… constants, read from its source: one that is added
// later must be explained, too.
func alertConstants(t *testing.T) []string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "event.go", nil, 0)
	require.NoError(t, err)
	var values []string
	ast.Inspect(file, func(node ast.Node) bool {
		spec, ok := node.(*ast.ValueSpec)
		if !ok || len(spec.Values) != 1 || !strings.HasPrefix(spec.Names[0].Name, "Alert") {
			return true
		}
		literal, ok := spec.Values[0].(*ast.BasicLit)
		require.True(t, ok)
		value, err := strconv.Unquote(literal.Value)
		require.NoError(t, err)
		values = append(values, value)
		return true
	})
	return values
}

func TestClearedAlertSaysWhenItWasRaised(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	require.NoError(t, s.raise(t.Context(), event.AlertDestinationDown))
	require.NoError(t, s.clear(t.Context(), event.AlertDestinationDown))
	published := s.outbox(t)
	require.Len(t, published, 2)
	began := body(t, published[0])["raisedAt"]
	require.NotEmpty(t, began)
	require.Equal(t, began, body(t, published[0])["at"])
	require.Equal(t, began, body(t, published[1])["raisedAt"])
	require.NotEqual(t, began, body(t, published[1])["at"])
}
