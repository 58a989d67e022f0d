package main

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/mirror"
	"rollcall.dev/pkg/vomo"
)

func TestAPageThatPanicsFailsItsJobAndNotTheProcess(t *testing.T) {
	t.Parallel()
	line := &pipeline{write: func(context.Context, vomo.Page) (*mirror.WrittenPage, error) {
		var missing *vomo.User
		return nil, nameOf(missing)
	}}
	require.ErrorIs(t, line.next(t.Context(), pageOf(1)), errPanicked)
	require.NoError(t, line.wait())
}

// nameOf is a defect.
func nameOf(user *vomo.User) error {
	_ = *user.FirstName
	return nil
}
