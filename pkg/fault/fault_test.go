package fault_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/fault"
)

var errCause = errors.New("the cause")

func TestKindAndCodeSurviveWrapping(t *testing.T) {
	t.Parallel()
	for kind, err := range map[fault.Kind]error{
		fault.KindPermanent: fault.Permanent("a_code", errCause),
		fault.KindThrottled: fault.Throttled("a_code", time.Minute, errCause),
		fault.KindUnknown:   fault.Unknown("a_code", errCause),
	} {
		wrapped := errors.Join(errors.New("besides"), fmt.Errorf("read page 3: %w", fmt.Errorf("ask: %w", err)))
		require.Equal(t, kind, fault.KindOf(wrapped), kind)
		require.Equal(t, "a_code", fault.CodeOf(wrapped))
		require.ErrorIs(t, wrapped, errCause)
	}
}

func TestOutermostFaultDecidesKindAndCode(t *testing.T) {
	t.Parallel()
	err := fault.Permanent("given_up", fmt.Errorf("after ten attempts: %w", fault.Unknown("timeout", errCause)))
	require.Equal(t, fault.KindPermanent, fault.KindOf(err))
	require.Equal(t, "given_up", fault.CodeOf(err))
}

func TestPlainErrorIsUnknownWithCodeInternal(t *testing.T) {
	t.Parallel()
	require.Equal(t, fault.KindUnknown, fault.KindOf(errCause))
	require.Equal(t, "internal", fault.CodeOf(errCause))
}

func TestAfterIsOnlyForThrottledFaultsThatNamedATime(t *testing.T) {
	t.Parallel()
	after, named := fault.After(fmt.Errorf("ask: %w", fault.Throttled("held", time.Minute, errCause)))
	require.True(t, named)
	require.Equal(t, time.Minute, after)
	for _, err := range []error{fault.Throttled("held", 0, errCause), fault.Permanent("held", errCause), errCause} {
		_, named := fault.After(err)
		require.False(t, named)
	}
}

func TestFaultWithoutCauseHasItsCodeAsText(t *testing.T) {
	t.Parallel()
	require.EqualError(t, fault.Unknown("vomo_timeout", nil), "vomo_timeout")
	require.Equal(t, "throttled", fault.KindThrottled.String())
}
