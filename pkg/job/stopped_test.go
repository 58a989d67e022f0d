package job_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"rollcall.dev/pkg/store"
)

func TestWorkerStoppedByOperatorLogsItWithoutWarning(t *testing.T) {
	t.Parallel()
	for name, resumed := range map[string]bool{
		"the customer was paused, switched off or offboarded":      false,
		"the customer was stopped for a moment, and goes on again": true,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			core, logs := observer.New(zapcore.InfoLevel)
			f.runner.Logger = zap.New(core)
			f.sides.change(checkpoint.Add(time.Minute), "x", ids(3)...)
			f.sides.set(func(w *sides) {
				w.crm = func(id string) int {
					if id == "2" {
						f.paused(resumed)
					}
					return 0
				}
			})

			require.ErrorIs(t, f.poll(), store.ErrLaneLost)

			require.Empty(t, logs.FilterLevelExact(zapcore.WarnLevel).All())
			stopped := logs.FilterMessage("run stopped by an operator").All()
			require.Len(t, stopped, 1)
			require.Equal(t, name, stopped[0].ContextMap()["why"])
		})
	}
}

func TestLaneTakenByAnotherWorkerIsLoggedAsWarning(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	core, logs := observer.New(zapcore.InfoLevel)
	f.runner.Logger = zap.New(core)
	f.sides.change(checkpoint.Add(time.Minute), "x", ids(3)...)
	f.sides.set(func(w *sides) {
		w.crm = func(string) int {
			f.exec(`UPDATE customer_leases SET epoch = epoch + 1, holder = 'another'`)
			return 0
		}
	})

	require.ErrorIs(t, f.poll(), store.ErrLaneLost)

	require.Len(t, logs.FilterMessage("lane lost; another worker goes on").All(), 1)
}

// paused pauses the customer under its worker, and has it go on again.
func (f *fixture) paused(resumed bool) {
	f.t.Helper()
	require.NoError(f.t, f.store.InTx(f.t.Context(), func(ctx context.Context, tx *store.Tx) error {
		if err := tx.FenceLane(ctx, "acme"); err != nil {
			return err
		}
		_, err := tx.PauseCustomer(ctx, "acme")
		return err
	}))
	if !resumed {
		return
	}
	require.NoError(f.t, f.store.InTx(f.t.Context(), func(ctx context.Context, tx *store.Tx) error {
		_, err := tx.ResumeCustomer(ctx, "acme")
		return err
	}))
}
