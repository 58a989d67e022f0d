package giving_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/giving"
)

func TestAppliedNamesAContactAndFields(t *testing.T) {
	t.Parallel()
	for message, want := range map[string]giving.Applied{
		`{"customerId":"acme","referenceId":"donor-1"}`:                            {ReferenceID: "donor-1"},
		`{"customerId":"acme","referenceId":"donor-1","fields":["email","phone"]}`: {ReferenceID: "donor-1", Fields: []string{"email", "phone"}},
		`{"customerId":"acme","virtuousContactId":501,"fields":[]}`:                {VirtuousContactID: 501},
		`{"customerId":"acme","virtuousContactId":"501"}`:                          {VirtuousContactID: 501}, // as events have it
		`{"customer_id":"acme","reference_id":"donor-1"}`:                          {ReferenceID: "donor-1"},
	} {
		got, errs := giving.ParseApplied([]byte(message), "acme")
		require.Empty(t, errs, message)
		require.Equal(t, want.ReferenceID, got.ReferenceID, message)
		require.Equal(t, want.VirtuousContactID, got.VirtuousContactID, message)
		require.ElementsMatch(t, want.Fields, got.Fields, message)
	}
}

func TestBadAppliedMessageHasAnErrorForEachField(t *testing.T) {
	t.Parallel()
	for message, want := range map[string]map[string]string{
		``:                      {"body": ""},
		`[]`:                    {"body": ""},
		`{}`:                    {"customerId": "is missing", "referenceId": "is missing: give"},
		`{"customerId":"acme"}`: {"referenceId": "or virtuousContactId"},
		`{"customerId":"b","referenceId":"donor-1"}`:                                {"customerId": "not the customer of the subject"},
		`{"customerId":"acme","referenceId":"a/b"}`:                                 {"referenceId": "slash"},
		`{"customerId":"acme","referenceId":7}`:                                     {"referenceId": ""},
		`{"customerId":"acme","virtuousContactId":-1}`:                              {"virtuousContactId": "such as 501"},
		`{"customerId":"acme","virtuousContactId":"x"}`:                             {"virtuousContactId": ""},
		`{"customerId":"acme","referenceId":"donor-1","virtuousContactId":501}`:     {"virtuousContactId": "leave one of them out"},
		`{"customerId":"acme","referenceId":"donor-1","fields":["email","amount"]}`: {"fields[1]": "name, email, phone, address"},
		`{"customerId":"acme","referenceId":"donor-1","fields":"email"}`:            {"fields": ""},
		`{"customerId":"acme","referenceId":"donor-1","field":["email"]}`:           {"field": ""},
	} {
		_, errs := giving.ParseApplied([]byte(message), "acme")
		require.Len(t, errs, len(want), "%s: %v", message, errs)
		for field, text := range want {
			require.Len(t, errs[field], 1, "%s: %v", message, errs)
			require.Contains(t, errs[field][0], text, message)
		}
	}
}
