package dev

import (
	"encoding/json"
	"sync/atomic"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/service"
	"rollcall.dev/pkg/testkit"
)

// consoleStack is a stack whose console answers with answer.
func consoleStack(t *testing.T, answer func(question *nats.Msg)) *stack {
	t.Helper()
	f, err := openFolder(t.TempDir(), 1_000)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, f.lock.release()) })
	conn := testkit.NATS(t).Conn(t)
	_, err = conn.Subscribe(service.APISubject("tokens", "add"), answer)
	require.NoError(t, err)
	require.NoError(t, conn.Flush())
	return &stack{folder: f, conn: conn}
}

func TestAdminTokenIsMadeAtTheFirstStartOnly(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	s := consoleStack(t, func(question *nats.Msg) {
		asked.Add(1)
		var addition operatorapi.TokenAddition
		if json.Unmarshal(question.Data, &addition) != nil || addition.Role != "admin" {
			return // the test waits in vain
		}
		_ = question.Respond([]byte(`{"secret":"rct_shown-once"}`))
	})
	token, err := s.makeAdminToken(t.Context())
	require.NoError(t, err)
	require.Equal(t, "rct_shown-once", token)
	token, err = s.makeAdminToken(t.Context())
	require.NoError(t, err)
	require.Empty(t, token)
	require.EqualValues(t, 1, asked.Load())

	first := guide{program: "rollcall", adminToken: "rct_shown-once"}.box(plain)
	require.Contains(t, first, "\n  rct_shown-once\n")
	later := guide{program: "rollcall"}.box(plain)
	require.Contains(t, later, "rollcall token add me --role admin")
}

func TestAdminTokenOfAnInterruptedStartIsNotMadeAgain(t *testing.T) {
	t.Parallel()
	s := consoleStack(t, func(question *nats.Msg) {
		answer := nats.NewMsg(question.Reply)
		answer.Header.Set(micro.ErrorCodeHeader, service.CodeConflict)
		answer.Header.Set(micro.ErrorHeader, "there is a token already")
		_ = question.RespondMsg(answer)
	})
	token, err := s.makeAdminToken(t.Context())
	require.NoError(t, err)
	require.Empty(t, token)
	require.True(t, s.folder.memory.HasAdminToken)
}
