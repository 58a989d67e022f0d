package main

import (
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/bus"
)

func TestLettersThatFindNoRoomWaitAndAreShownOnceOthersAreSettled(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	limit := func(messages int64) {
		stream, err := d.js.Stream(t.Context(), bus.StreamDLQ)
		require.NoError(t, err)
		config := stream.CachedInfo().Config
		config.MaxMsgs = messages
		_, err = d.js.UpdateStream(t.Context(), config)
		require.NoError(t, err)
	}
	limit(6)
	for n := range 10 {
		d.letter(t, "acme", strconv.Itoa(n), false)
	}
	shown := func() (letters, messages int) {
		stream, err := d.js.Stream(t.Context(), bus.StreamDLQ)
		require.NoError(t, err)
		return value[int](t, d, `SELECT count(*) FROM dead_letters WHERE state <> 'settled' AND shown_revision = revision`), int(stream.CachedInfo().State.Msgs)
	}
	require.Error(t, d.follow.follow(t.Context()))
	require.Error(t, d.follow.follow(t.Context()), "it says so for as long as letters wait")
	letters, messages := shown()
	require.Equal(t, []int{6, 6}, []int{letters, messages}, "what the stream took is noted, and none is published twice")
	require.Equal(t, 10, value[int](t, d, `SELECT count(*) FROM dead_letters WHERE state = 'review'`))

	d.exec(t, `UPDATE dead_letters SET state = 'settled', settled_at = now(), settled_how = 'discarded' WHERE shown_seq IN (1, 2, 3)`)
	require.Error(t, d.follow.follow(t.Context()), "one of seven still has no room")
	letters, messages = shown()
	require.Equal(t, []int{6, 6}, []int{letters, messages})

	start(t, d.follow.run)
	limit(-1)
	require.Eventually(t, func() bool {
		letters, messages := shown()
		return letters == 7 && messages == 7
	}, 30*time.Second, 20*time.Millisecond, "and by itself")
}
