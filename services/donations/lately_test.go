package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestACodeThatWasFoundIsLookedUpAgainAfterASecond(t *testing.T) {
	t.Parallel()
	var l lately
	at := time.Date(2026, time.March, 2, 12, 0, 0, 0, time.UTC)
	require.False(t, l.has(at, "acme", []string{"general"}))
	l.add(at, "acme", []string{"general", "water"})
	require.True(t, l.has(at, "acme", []string{"general"}))
	require.True(t, l.has(at.Add(latelyFor), "acme", []string{"water", "general"}))
	require.False(t, l.has(at, "acme", []string{"general", "roof"}), "each code counts")
	require.False(t, l.has(at, "globex", []string{"general"}), "each customer has a list of its own")
	require.False(t, l.has(at.Add(latelyFor+1), "acme", []string{"general"}))

	l.add(at.Add(latelyFor+1), "globex", []string{"roof"})
	require.False(t, l.has(at.Add(latelyFor+1), "acme", []string{"general"}), "what is older is forgotten")
	require.Len(t, l.codes, 1)
}
