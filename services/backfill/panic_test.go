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
		var nobody *vomo.User
		return nil, nobodysName(nobody)
	}}
	require.ErrorIs(t, line.next(t.Context(), pageOf(1)), errPanicked)
	require.NoError(t, line.wait())
}

// nobodysName is a defect.
func nobodysName(user *vomo.User) error {
	_ = *user.FirstName
	return nil
}
