package event_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/event"
	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

// constants returns the values of the package's constants, by name.
func constants(t *testing.T) map[string]string {
	t.Helper()
	files, err := filepath.Glob("*.go")
	require.NoError(t, err)
	found := map[string]string{}
	for _, file := range files {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		require.NoError(t, err)
		ast.Inspect(parsed, func(node ast.Node) bool {
			if spec, ok := node.(*ast.ValueSpec); ok && len(spec.Values) == 1 {
				if literal, ok := spec.Values[0].(*ast.BasicLit); ok && literal.Kind == token.STRING {
					found[spec.Names[0].Name], err = strconv.Unquote(literal.Value)
					require.NoError(t, err)
				}
			}
			return true
		})
	}
	return found
}

func TestEachEventAndAlertIsATopic(t *testing.T) {
	t.Parallel()
	notTopics := map[string]string{
		event.ReportStored:             "report.ready is the same",
		event.AlertEndpointFailing:     "it would be about itself",
		event.AlertDatabaseUnavailable: "it is not published",
	}
	topics, names := event.Topics(), 0
	for name, value := range constants(t) {
		if !strings.HasPrefix(name, "Alert") && !regexp.MustCompile(`^[a-z]+\.[a-z_]+$`).MatchString(value) {
			continue
		}
		names++
		if notTopics[value] != "" {
			require.NotContains(t, topics, value)
		} else {
			require.Contains(t, topics, value)
		}
	}
	require.Greater(t, names, 70)
	require.Len(t, topics, names-len(notTopics), "a topic that is no event or alert, or one that is listed twice")
}

func TestAllTopicsAreThoseAboutACustomersLifecycle(t *testing.T) {
	t.Parallel()
	require.Equal(t, []string{event.ReportReady, event.TopicAll}, event.TopicsOfEvent(event.ReportReady))
	require.Equal(t, []string{event.UserCreated}, event.TopicsOfEvent(event.UserCreated))
	require.Equal(t, []string{event.AlertDLQGrowth, event.TopicAll}, event.TopicsOfAlert(event.AlertDLQGrowth, "acme"))
	require.Equal(t, []string{event.AlertEmailChanged}, event.TopicsOfAlert(event.AlertEmailChanged, "acme"))
	require.Equal(t, []string{event.AlertOutboxStalled}, event.TopicsOfAlert(event.AlertOutboxStalled, rollcallv1.Installation))
	require.Empty(t, event.TopicsOfAlert(event.AlertEndpointFailing, "acme"))
	require.True(t, event.NameRecords([]string{event.TopicAll, event.GiftConfirmed}))
	require.False(t, event.NameRecords(append(bus.LifecycleEvents(), event.TopicAll)))
}
