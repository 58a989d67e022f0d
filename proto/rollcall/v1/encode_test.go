package rollcallv1_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

func TestEqualMessagesEncodeToEqualBytesOnOneLine(t *testing.T) {
	t.Parallel()
	perMinute := 0.0
	request := &rollcallv1.OnboardingRequest{
		CustomerId: "acme", VomoTokenSealed: "X.y", AdminEmail: "a<b>&c@acme.example",
		Destination: &rollcallv1.Destination{Kind: "rest", Url: "https://crm.example.org/a?b=c&d"},
		Limits:      &rollcallv1.Limits{RequestsPerSecond: 2.5, RequestsPerMinute: &perMinute},
	}
	first, err := rollcallv1.Encode(request)
	require.NoError(t, err)
	require.NotContains(t, string(first), "\n")
	require.Contains(t, string(first), `"customerId":"acme"`)
	require.NotContains(t, string(first), "pollCadenceMinutes", "default values must be left out")
	require.Contains(t, string(first), `"requestsPerMinute":0`, "values that are set must not be left out")
	for range 50 {
		again, err := rollcallv1.Encode(proto.CloneOf(request))
		require.NoError(t, err)
		require.Equal(t, string(first), string(again))
	}

	read := &rollcallv1.OnboardingRequest{}
	require.Empty(t, rollcallv1.Decode(first, read))
	require.True(t, proto.Equal(request, read))
}

func TestRejectionHasFormOfIntegrationGuide(t *testing.T) {
	t.Parallel()
	errs := rollcallv1.FieldErrors{}
	errs.Add("vomoToken", "Token rejected by VOMO API")
	for i := range 20 {
		errs.Add(fmt.Sprintf("field%02d", i), "is wrong")
	}
	rejected := func() string {
		encoded, err := rollcallv1.Encode(&rollcallv1.OnboardingRejected{Errors: errs.ListValues(), CustomerId: "acme"})
		require.NoError(t, err)
		return string(encoded)
	}
	first := rejected()
	require.Contains(t, first, `"vomoToken":["Token rejected by VOMO API"]`)
	for range 20 {
		require.Equal(t, first, rejected())
	}
}

func TestFieldErrorsAreSortedByFieldName(t *testing.T) {
	t.Parallel()
	errs := rollcallv1.FieldErrors{}
	require.NoError(t, errs.Err())
	errs.Add("b", "one")
	errs.Add("a", "two")
	errs.Add("b", "three")

	require.Equal(t, "a: two; b: one; three", errs.Error())
	var found rollcallv1.FieldErrors
	require.ErrorAs(t, fmt.Errorf("refused: %w", errs.Err()), &found)
	require.Equal(t, errs, found)
}

func TestEncodeErrorDoesNotQuoteMessage(t *testing.T) {
	t.Parallel()
	_, err := rollcallv1.Encode(&rollcallv1.OnboardingRequest{VomoToken: "q7XwCanary\xff"})
	require.Error(t, err)
	require.NotContains(t, err.Error(), "q7Xw")
}
