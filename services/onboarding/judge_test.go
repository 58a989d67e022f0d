package main

import (
	"testing"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/store"
)

func TestARequestThatOnlyChangesTheBatchesIsNoDuplicate(t *testing.T) {
	t.Parallel()
	of := func(destination string) store.Customer {
		return store.Customer{Enabled: true, ExternalSystemURL: "https://crm.example.org", Destination: []byte(destination)}
	}
	stands := of(`{"url": "https://crm.example.org", "kind": "rest"}`)
	require.True(t, sameConfig(stands, of(`{"kind":"rest","url":"https://crm.example.org"}`)), "Postgres writes JSON in its own way")
	require.False(t, sameConfig(stands, of(`{"kind":"rest","url":"https://crm.example.org","batchSize":15}`)))
	require.False(t, sameConfig(of(``), of(``)), "what cannot be read is written anew")
}
