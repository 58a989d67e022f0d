package main

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestPostOnClosedConnectionIsRepeated(t *testing.T) {
	t.Parallel()
	stopWatching := func(answer http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(answer).Hijack()
		if err != nil {
			t.Errorf("hijack: %v", err)
			return
		}
		_ = conn.Close() // the receiver closes the connection
	}
	receiver := newReceiver(t, status(http.StatusOK), stopWatching, status(http.StatusOK))
	hook, err := newWebhook(receiver.URL, "")
	require.NoError(t, err)
	require.NoError(t, hook.post(t.Context(), "alert-1", []byte(`{}`)))

	require.NoError(t, hook.post(t.Context(), "alert-2", []byte(`{}`)))

	ids := []string{}
	for range 3 {
		came := receiver.next()
		require.NotContains(t, came.header, "Idempotency-Key", "receivers use the id of the standard")
		ids = append(ids, came.header.Get("Webhook-Id"))
	}
	require.Equal(t, []string{"alert-1", "alert-2", "alert-2"}, ids)
}
