package rollcallv1_test

import (
	"bytes"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

// decoded decodes a request and returns it with its errors.
func decoded(text string) (*rollcallv1.OnboardingRequest, rollcallv1.FieldErrors) {
	request := &rollcallv1.OnboardingRequest{}
	return request, rollcallv1.Decode([]byte(text), request)
}

// fieldsOf returns the names of the fields with errors, in order.
func fieldsOf(errs rollcallv1.FieldErrors) []string { return slices.Sorted(maps.Keys(errs)) }

func TestMessageOfIntegrationGuideIsRead(t *testing.T) {
	t.Parallel()
	request, errs := decoded(`{"customerId":"acme","vomoToken":"12|abc","externalSystemUrl":"http://127.0.0.1:9090/crm",
		"pollCadenceMinutes":30,"adminEmail":"it@acme.example"}`)
	require.Empty(t, errs)
	require.NoError(t, errs.Err())
	require.True(t, proto.Equal(&rollcallv1.OnboardingRequest{
		CustomerId: "acme", VomoToken: "12|abc", ExternalSystemUrl: "http://127.0.0.1:9090/crm", PollCadenceMinutes: 30, AdminEmail: "it@acme.example",
	}, request))
}

func TestFieldNamesAreReadInBothSpellings(t *testing.T) {
	t.Parallel()
	request, errs := decoded(`{"customer_id":"acme","destination":{"token_sealed":"x"},"limits":{"requests_per_minute":0}}`)
	require.Empty(t, errs)
	require.Equal(t, "acme", request.GetCustomerId())
	require.Equal(t, "x", request.GetDestination().GetTokenSealed())
	require.NotNil(t, request.GetLimits().RequestsPerMinute, "0 is not the same as left out")
}

func TestDonationIsReadWithItsLists(t *testing.T) {
	t.Parallel()
	donation := &rollcallv1.Donation{}
	errs := rollcallv1.Decode([]byte(`{"customerId":"acme","platformDonationId":"don-77120","amount":"125.00","currencyCode":"USD","giftDate":"2026-11-20",
		"contact":{"referenceId":"donor-310","firstName":"Ana","address":{"address1":"9 Elm St"}},
		"designations":[{"code":"WATER","amountDesignated":"100.00"},{"code":"ROOF","amountDesignated":"25.00"}],
		"virtuousFields":{"frequency":"Monthly","customFields":{"Campaign":"Spring"}}}`), donation)
	require.Empty(t, errs)
	require.Equal(t, "9 Elm St", donation.GetContact().GetAddress().GetAddress1())
	require.Len(t, donation.GetDesignations(), 2)
	require.Equal(t, "25.00", donation.GetDesignations()[1].GetAmountDesignated())
	require.Equal(t, "Monthly", donation.GetVirtuousFields().GetFields()["frequency"].GetStringValue())
}

func TestErrorsInListNameTheElement(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]rollcallv1.FieldErrors{
		`{"designations":[{"code":"A"},{"code":7,"sum":1}]}`: {
			"designations[1].code": {"has the wrong type: expected a string"},
			"designations[1].sum":  {"is not a field that this version knows; check the spelling or leave it out"},
		},
		`{"designations":[null]}`:   {"designations[0]": {"is not a JSON object, but null"}},
		`{"designations":{}}`:       {"designations": {"has the wrong type: expected a list of objects"}},
		`{"virtuousFields":["x"]}`:  {"virtuousFields": {"has the wrong type: expected an object"}},
		`{"contact":{"address":1}}`: {"contact.address": {"is not a JSON object, but a number"}},
	} {
		require.Equal(t, want, rollcallv1.Decode([]byte(text), &rollcallv1.Donation{}), text)
	}
}

func TestErrorForWrongTypeNamesPathAndExpectedType(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]map[string]string{
		`{"customerId":17}`:                                 {"customerId": "a string"},
		`{"vomoToken":{"a":1}}`:                             {"vomoToken": "a string"},
		`{"vomoTokenSealed":["x"]}`:                         {"vomoTokenSealed": "a string"},
		`{"externalSystemUrl":true,"adminEmail":1.5}`:       {"externalSystemUrl": "a string", "adminEmail": "a string"},
		`{"pollCadenceMinutes":"often"}`:                    {"pollCadenceMinutes": "a whole number"},
		`{"pollCadenceMinutes":30.5}`:                       {"pollCadenceMinutes": "a whole number"},
		`{"pollCadenceMinutes":99999999999}`:                {"pollCadenceMinutes": "a whole number"},
		`{"pollCadenceMinutes":1e400}`:                      {"pollCadenceMinutes": "a whole number"},
		`{"pollCadenceMinutes":false}`:                      {"pollCadenceMinutes": "a whole number"},
		`{"destination":{"kind":1,"url":[],"token":{}}}`:    {"destination.kind": "a string", "destination.url": "a string", "destination.token": "a string"},
		`{"limits":{"requestsPerSecond":"many"}}`:           {"limits.requestsPerSecond": "a number"},
		`{"limits":{"requestsPerSecond":1e400}}`:            {"limits.requestsPerSecond": "a number"},
		`{"limits":{"requestsPerMinute":[100]}}`:            {"limits.requestsPerMinute": "a number"},
		`{"adminEmail":"\ud800"}`:                           {"adminEmail": "a string"},
		`{"customerId":[[[[[[[[[[]]]]]]]]]],"vomoToken":1}`: {"customerId": "a string", "vomoToken": "a string"},
		`{"backfillNotBefore":"tomorrow","quietHours":{"from":8,"weekdays":"mon"}}`: {
			"backfillNotBefore": "a time such as 2026-11-20T22:00:00Z", "quietHours.from": "a string", "quietHours.weekdays": "a list of strings",
		},
	} {
		_, errs := decoded(text)
		require.Equal(t, slices.Sorted(maps.Keys(want)), fieldsOf(errs), text)
		for field, expected := range want {
			require.Equal(t, []string{"has the wrong type: expected " + expected}, errs[field], text)
		}
	}
}

func TestEveryWrongFieldIsReported(t *testing.T) {
	t.Parallel()
	request, errs := decoded(`{"customerId":1,"adminEmail":2,"limits":3,"destination":[],"what":4,"vomoToken":"kept"}`)
	require.Equal(t, []string{"adminEmail", "customerId", "destination", "limits", "what"}, fieldsOf(errs))
	require.Equal(t, "kept", request.GetVomoToken())
}

func TestNonObjectIsReportedForBodyOrField(t *testing.T) {
	t.Parallel()
	for text, what := range map[string]string{
		`null`: "null", `[]`: "a list", `[{"customerId":"acme"}]`: "a list", `"acme"`: "a string", ` 17`: "a number", "-1": "a number",
		`true`: "true or false", `[{}]`: "a list",
	} {
		_, errs := decoded(text)
		require.Equal(t, rollcallv1.FieldErrors{"body": {"is not a JSON object, but " + what}}, errs, "%q", text)
		if what == "null" {
			continue // a null field is absent
		}
		_, errs = decoded(`{"destination":` + text + `}`)
		require.Equal(t, rollcallv1.FieldErrors{"destination": {"is not a JSON object, but " + what}}, errs, text)
	}
}

func TestNullMeansAbsent(t *testing.T) {
	t.Parallel()
	request, errs := decoded(`{"customerId":null,"pollCadenceMinutes": null ,"destination":null,"limits":{"requestsPerMinute":null}}`)
	require.Empty(t, errs)
	require.Nil(t, request.GetDestination())
	require.Nil(t, request.GetLimits().RequestsPerMinute)
}

func TestUnknownFieldIsNamedIfItsNameCannotBeAToken(t *testing.T) {
	t.Parallel()
	_, errs := decoded(`{"vomotoken":"x","destination":{"urll":"y"}}`)
	require.Equal(t, []string{"destination.urll", "vomotoken"}, fieldsOf(errs))
	for _, texts := range errs {
		require.Equal(t, []string{"is not a field that this version knows; check the spelling or leave it out"}, texts)
	}

	for _, odd := range []string{
		"", "12|q7Xw", "eyJhbGciOi.x.y", "Bearer q7Xw", "deadbeef0123456789", "it@acme.example", strings.Repeat("x", 33), "naïve", `a\nb`, "_x", "a.b", "a-b",
	} {
		_, errs := decoded(`{"` + odd + `":1,"limits":{"` + odd + `":1}}`)
		require.Equal(t, []string{"body", "limits"}, fieldsOf(errs), odd)
		require.Equal(t, []string{"has a field whose name this version does not know"}, errs["body"])
	}
}

func TestDuplicateFieldIsRejected(t *testing.T) {
	t.Parallel()
	for text, field := range map[string]string{
		`{"customerId":"acme","customerId":"globex"}`:                     "customerId",
		`{"customerId":"acme","customer_id":"globex"}`:                    "customerId",
		`{"vomoToken":"a","vomoToken":"b","vomoToken":"c"}`:               "vomoToken",
		`{"destination":{"kind":"rest"},"destination":{"url":"x"}}`:       "destination",
		`{"destination":{"token":"a","token":null}}`:                      "destination.token",
		`{"limits":{"requestsPerSecond":1,"requests_per_second":100000}}`: "limits.requestsPerSecond",
	} {
		for range 20 { // the result must not depend on the order of a map
			_, errs := decoded(text)
			require.Equal(t, rollcallv1.FieldErrors{field: {"is given more than once"}}, errs, text)
		}
	}
}

func TestTooLongBodyIsRejected(t *testing.T) {
	t.Parallel()
	padded := func(length int) []byte {
		return append([]byte(`{"customerId":"acme"}`), bytes.Repeat([]byte(" "), length-len(`{"customerId":"acme"}`))...)
	}
	require.Empty(t, rollcallv1.Decode(padded(rollcallv1.MaxRequestBytes), &rollcallv1.OnboardingRequest{}))

	errs := rollcallv1.Decode(padded(rollcallv1.MaxRequestBytes+1), &rollcallv1.OnboardingRequest{})

	require.Equal(t, rollcallv1.FieldErrors{"body": {"is 65537 bytes long; at most 65536 are taken"}}, errs)
}

func TestInvalidUTF8IsRejectedAnywhere(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"{\"customerId\":\"a\xff\"}", "{\"\xc3\x28\":1}", "\xff\xfe{\x00}\x00", "{}\x80"} {
		_, errs := decoded(text)
		require.Equal(t, []string{"body"}, fieldsOf(errs), "%q", text)
		require.Contains(t, errs["body"][0], "UTF-", "%q", text)
	}
}

func TestDeepNestingIsRejected(t *testing.T) {
	t.Parallel()
	for _, part := range []string{`[`, `{"a":`, `{"destination":`} {
		deep := strings.Repeat(part, rollcallv1.MaxRequestBytes/len(part)-20)
		for _, text := range []string{deep, `{"vomoToken":` + deep, `{"what":` + deep} {
			_, errs := decoded(text)
			require.Equal(t, []string{"body"}, fieldsOf(errs))
		}
	}
	closed := strings.Repeat("[", 9000) + strings.Repeat("]", 9000)
	_, errs := decoded(`{"vomoToken":` + closed + `,"limits":` + closed + `}`)
	require.Equal(t, []string{"limits", "vomoToken"}, fieldsOf(errs))
}

// The errors of any request must fit in a message of 256 KiB.
func TestErrorsOfAnyBodyAreSmall(t *testing.T) {
	t.Parallel()
	var named, odd, nested strings.Builder
	for i := 0; named.Len() < rollcallv1.MaxRequestBytes-200; i++ {
		name := strings.Map(func(c rune) rune { return c - '0' + 'a' }, strconv.Itoa(i))
		named.WriteString(`"` + name + `":1,`)
		odd.WriteString(`"` + strconv.Itoa(i) + `":1,`)
		nested.WriteString(`"token":1,`)
	}
	for _, fields := range []string{named.String(), odd.String(), nested.String()} {
		fields = fields[:min(len(fields), rollcallv1.MaxRequestBytes-200)]
		fields = fields[:strings.LastIndex(fields, ",")]
		for _, text := range []string{"{" + fields + "}", `{"destination":{` + fields + "}}"} {
			_, errs := decoded(text)
			require.NotEmpty(t, errs)
			require.NotContains(t, errs.Error(), "is not a JSON object")
			require.Less(t, len(errs.Error()), 4<<10)
		}
	}
}

func TestNaNIsDecodedAndRejectedByValidate(t *testing.T) {
	t.Parallel()
	request, errs := decoded(`{"limits":{"requestsPerSecond":"NaN","requestsPerMinute":"Infinity"}}`)
	require.Empty(t, errs)
	require.True(t, math.IsNaN(request.GetLimits().GetRequestsPerSecond()))
	errs = request.Validate("acme", false)
	require.Contains(t, errs, "limits.requestsPerSecond")
	require.Contains(t, errs, "limits.requestsPerMinute")
}

func TestReadIgnoresUnknownFieldsAndDoesNotQuoteInput(t *testing.T) {
	t.Parallel()
	alert := &rollcallv1.Alert{}
	require.NoError(t, rollcallv1.Read([]byte(`{"customerId":"acme","type":"auth_failed","fieldOfTomorrow":{"a":[1]}}`), alert))
	require.Equal(t, "acme", alert.GetCustomerId())
	err := rollcallv1.Read([]byte(`{"customerId":"secret-token-17`), alert)
	require.EqualError(t, err, "the body is no Alert")
}
