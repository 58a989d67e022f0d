package main

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/mirror"
	"rollcall.dev/pkg/vomo"
)

func TestAPanicOfAPageIsThatOfWhoeverWaits(t *testing.T) {
	t.Parallel()
	p := &pipeline{write: func(context.Context, vomo.Page) (*mirror.Brought, error) { panic("a defect") }}
	require.PanicsWithValue(t, "a defect", func() { _ = p.next(t.Context(), pageOf(1)) })
	require.NoError(t, p.wait())
}
