package destination_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/destination"
	"rollcall.dev/pkg/fault"
)

func TestRetryable(t *testing.T) {
	t.Parallel()
	for err, retryable := range map[error]bool{
		fault.Throttled("destination_throttled", time.Second, nil): true,
		fault.Unknown("destination_5xx", nil):                      true,
		errors.New("a failure without a name"):                     true,
		destination.ErrOpen:                                        true,
		destination.ErrAuth:                                        false,
		destination.ErrHeld:                                        false,
		destination.NewRejection(422, "bad_phone"):                 false,
		fault.Permanent("destination_kind_unknown", nil):           false,
		context.Canceled:                                           false,
		context.DeadlineExceeded:                                   false,
	} {
		require.Equal(t, retryable, destination.Retryable(fmt.Errorf("wrapped: %w", err)), err)
	}
	require.False(t, destination.Retryable(nil))
}

func TestRejectionKeepsCodeAndNoSentence(t *testing.T) {
	t.Parallel()
	for code, kept := range map[string]string{
		"bad_phone":              "bad_phone",
		"v2.phone-invalid":       "v2.phone-invalid",
		strings.Repeat("x", 64):  strings.Repeat("x", 64),
		strings.Repeat("x", 65):  "http_422",
		"":                       "http_422",
		"Phone of Ada is bad":    "http_422",
		"ada@example.org":        "http_422",
		"BAD_PHONE":              "http_422",
		"bad_phone\nada":         "http_422",
		"télé":                   "http_422",
		"rollcall.events.>":      "http_422",
		"duplicate:email=ada@ex": "http_422",
	} {
		require.Equal(t, kept, destination.NewRejection(422, code).Code)
	}
}

func TestRejectionIsPermanentFaultWithOwnCode(t *testing.T) {
	t.Parallel()
	err := fmt.Errorf("write: %w", destination.NewRejection(422, "bad_phone"))
	require.Equal(t, fault.KindPermanent, fault.KindOf(err))
	require.Equal(t, "destination_refused", fault.CodeOf(err), "the destination's code must not become a metric's label")
	var rejection *destination.Rejection
	require.ErrorAs(t, err, &rejection)
	require.Equal(t, destination.Rejection{Status: 422, Code: "bad_phone"}, *rejection)
}
