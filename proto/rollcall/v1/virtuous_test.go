package rollcallv1_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

func TestRequestAboutVirtuousAloneNeedsNoVomoToken(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][]string{
		`{"customerId":"acme","virtuous":{"token":"k3y"}}`:                                nil,
		`{"customerId":"acme","adminEmail":"it@acme.example","virtuous":{"token":"k3y"}}`: nil,
		`{"customerId":"acme","vomoToken":"t","virtuous":{"tokenSealed":"X.y"}}`:          nil,
		`{"customerId":"acme","virtuous":{"remove":true}}`:                                nil,
		`{"customerId":"acme"}`: {"vomoToken"},
		`{"customerId":"acme","pollCadenceMinutes":5,"virtuous":{"token":"k3y"}}`:                              {"externalSystemUrl", "vomoToken"},
		`{"customerId":"acme","virtuous":{}}`:                                                                  {"virtuous.token"},
		`{"customerId":"acme","virtuous":{"token":"k","tokenSealed":"X"}}`:                                     {"virtuous.token"},
		`{"customerId":"acme","virtuous":{"refreshToken":"r"}}`:                                                nil,
		`{"customerId":"acme","virtuous":{"refreshTokenSealed":"X.y"}}`:                                        nil,
		`{"customerId":"acme","virtuous":{"token":"k","refreshToken":"r"}}`:                                    {"virtuous.refreshToken"},
		`{"customerId":"acme","virtuous":{"tokenSealed":"X","refreshTokenSealed":"Y"}}`:                        {"virtuous.refreshToken"},
		`{"customerId":"acme","virtuous":{"refreshToken":"r","refreshTokenSealed":"X"}}`:                       {"virtuous.refreshToken"},
		`{"customerId":"acme","virtuous":{"refreshToken":"r 3"}}`:                                              {"virtuous.refreshToken"},
		`{"customerId":"acme","virtuous":{"remove":true,"refreshToken":"r"}}`:                                  {"virtuous.remove"},
		`{"customerId":"acme","virtuous":{"token":"k 3"}}`:                                                     {"virtuous.token"},
		`{"customerId":"acme","virtuous":{"remove":true,"token":"k"}}`:                                         {"virtuous.remove"},
		`{"customerId":"acme","virtuous":{"token":"k","webhookSecret":"a","webhookSecretSealed":"b"}}`:         {"virtuous.webhookSecret"},
		`{"customerId":"acme","virtuous":{"token":"k","transactionSource":" a"}}`:                              {"virtuous.transactionSource"},
		`{"customerId":"acme","virtuous":{"token":"k","designationsField":"x"}}`:                               {"virtuous.designationsField"},
		`{"customerId":"acme","virtuous":{"token":"k","needsReviewAfterHours":10}}`:                            {"virtuous.stuckAfterHours"},
		`{"customerId":"acme","virtuous":{"token":"k","defaults":{"TransactionId":"x"}}}`:                      {"virtuous.defaults"},
		`{"customerId":"acme","virtuous":{"token":"k","defaults":{"n":"` + strings.Repeat("x", 8<<10) + `"}}}`: {"virtuous.defaults"},
		`{"customerId":"acme","virtuous":{"token":"k","importsUrl":"https://a:b@x"}}`:                          {"virtuous.importsUrl"},
		`{"customerId":"acme","virtuous":{"token":"k","giftsSince":"1999-12-31"}}`:                             {"virtuous.giftsSince"},
		`{"customerId":"acme","virtuous":{"remove":true,"resolution":{}}}`:                                     {"virtuous.remove"},
	} {
		request, errs := decoded(text)
		require.Empty(t, errs, text)
		got := fieldsOf(request.Validate("acme", false))
		if len(want) == 0 {
			require.Empty(t, got, text)
			continue
		}
		require.Equal(t, want, got, text)
	}
	request, _ := decoded(`{"customerId":"acme","virtuous":{"token":"k3y","webhookSecret":"s"}}`)
	require.Equal(t, []string{"virtuous.token", "virtuous.webhookSecret"}, fieldsOf(request.Validate("acme", true)), "sealed only")
	require.True(t, request.GetVirtuous().KeyOnly())
	refresh, _ := decoded(`{"customerId":"acme","virtuous":{"refreshToken":"r"}}`)
	require.Equal(t, []string{"virtuous.refreshToken"}, fieldsOf(refresh.Validate("acme", true)), "sealed only")
	require.True(t, refresh.GetVirtuous().KeyOnly())
	require.True(t, (&rollcallv1.OnboardingRequest{CustomerId: "acme", VomoToken: "t", Virtuous: &rollcallv1.Virtuous{Token: "k"}}).TokenOnly())
}
