package connector_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"rollcall.dev/pkg/budget"
	"rollcall.dev/pkg/connector"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/testkit"
)

// awaited is a context that ends as soon as its end is awaited.
type awaited struct {
	context.Context

	end context.CancelFunc
}

func (a awaited) Done() <-chan struct{} {
	a.end()
	return a.Context.Done()
}

func TestRequestsThatGiveWayDoNotWaitForTheBudget(t *testing.T) {
	t.Parallel()
	from, err := store.Open(t.Context(), testkit.Database(t), store.Options{MaxConns: 2})
	require.NoError(t, err)
	t.Cleanup(from.Close)
	noted := &deadlines{}
	open := &connector.Virtuous{
		Store: from, Logger: zap.NewNop(), BaseURL: "http://virtuous.test", Transport: noted, Timeout: 10 * time.Second,
		Hourly: budget.Hourly{PerHour: 200, Share: 1}, // one in 18 seconds
	}
	client, err := open.OpenWithKey("acme", "k3y", "test")
	require.NoError(t, err)
	ended, end := context.WithCancel(t.Context())
	ctx := connector.GiveWay(t.Context(), awaited{ended, end})
	_, err = client.Projects(t.Context())
	require.NotErrorIs(t, err, connector.ErrGaveWay)
	require.NoError(t, connector.GivesWay(ctx))
	_, err = client.Projects(ctx)
	require.ErrorIs(t, err, connector.ErrGaveWay, "while it waits")
	require.ErrorIs(t, connector.GivesWay(ctx), connector.ErrGaveWay)
	_, err = client.Projects(ctx)
	require.ErrorIs(t, err, connector.ErrGaveWay, "it does not begin")
	require.Len(t, noted.left, 1)
}
