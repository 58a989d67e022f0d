package connector_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"rollcall.dev/pkg/budget"
	"rollcall.dev/pkg/connector"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// deadlines notes how long each request may take, and rejects it.
type deadlines struct{ left []time.Duration }

func (d *deadlines) RoundTrip(request *http.Request) (*http.Response, error) {
	if at, ok := request.Context().Deadline(); ok {
		d.left = append(d.left, time.Until(at))
	}
	return &http.Response{StatusCode: http.StatusBadRequest, Body: http.NoBody, Header: http.Header{}, Request: request}, nil
}

// A job's lease outlives the timeout of one request. A page of a list that took longer would be read beside the next holder's.
func TestPageOfAListTakesNoLongerThanARequest(t *testing.T) {
	t.Parallel()
	from, err := store.Open(t.Context(), testkit.Database(t), store.Options{MaxConns: 2})
	require.NoError(t, err)
	t.Cleanup(from.Close)
	noted := &deadlines{}
	open := &connector.Virtuous{
		Store: from, Logger: zap.NewNop(), BaseURL: "http://virtuous.test", Transport: noted, Timeout: 10 * time.Second,
		Hourly: budget.Hourly{PerHour: 1e9, Share: 1},
	}
	client, err := open.OpenWithKey("acme", "k3y", "test")
	require.NoError(t, err)
	_, err = client.Projects(t.Context())
	require.Error(t, err)
	require.NotEmpty(t, noted.left)
	for _, left := range noted.left {
		require.LessOrEqual(t, left, 10*time.Second)
	}
}
