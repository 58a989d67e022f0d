package vomo

import (
	"net/http"
	"reflect"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTransportsToVOMOHaveSameSettings(t *testing.T) {
	t.Parallel()
	client, err := New(Config{BaseURL: "https://api.example/v1", Token: "t"})
	require.NoError(t, err)
	own, ok := client.http.Transport.(*http.Transport)
	require.True(t, ok)
	for _, transport := range []*http.Transport{own, NewTransport(64)} {
		require.Equal(t, reflect.ValueOf(http.ProxyFromEnvironment).Pointer(), reflect.ValueOf(transport.Proxy).Pointer())
		require.EqualValues(t, 64<<10, transport.MaxResponseHeaderBytes)
		require.True(t, transport.ForceAttemptHTTP2)
	}
	require.Equal(t, 512, NewTransport(64).MaxIdleConnsPerHost)
}
