package giving_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/giving"
)

func TestTransactionHasTheFieldsOfTheDonation(t *testing.T) {
	t.Parallel()
	type fields = map[string]any
	settings := giving.Settings{TransactionSource: "AcmeGive", DesignationsField: "designations"}
	for name, one := range map[string]struct {
		change   fields
		settings giving.Settings
		body     string
	}{
		"household": {nil, settings, `{"amount":"125.00","contact":{"address":{"address1":"9 Elm St","city":"Mesa","country":"US","postal":"85201","state":"AZ"},` +
			`"email":"ana.ruiz@example.org","firstname":"Ana","lastname":"Ruiz","phone":"555-0100","referenceId":"donor-310","type":"Household"},` +
			`"currencyCode":"USD","designations":[{"amountDesignated":"125.00","code":"CLEAN-WATER"}],"giftDate":"2026-11-20","giftType":"Credit",` +
			`"transactionId":"don-77120","transactionSource":"AcmeGive"}`},
		"yen of an organization without an email": {
			fields{
				"amount": "12500", "currencyCode": "JPY", "designations": []any{designation("A", "500"), designation("B", "12000")},
				"contact": fields{"type": "Organization", "name": "Ruiz & Sons <Ltd>", "phone": "555"}, "giftType": nil,
			}, settings,
			`{"amount":"12500","contact":{"name":"Ruiz & Sons <Ltd>","phone":"555","type":"Organization"},"currencyCode":"JPY",` +
				`"designations":[{"amountDesignated":"500","code":"A"},{"amountDesignated":"12000","code":"B"}],"giftDate":"2026-11-20",` +
				`"transactionId":"don-77120","transactionSource":"AcmeGive"}`,
		},
		"dinars in the other list": {
			fields{"amount": "0.5", "currencyCode": "KWD", "designations": []any{designation("A", "0.125"), designation("A", "0.375")},
				"contact": fields{"firstName": "Ana", "referenceId": "7"}},
			giving.Settings{TransactionSource: "Acme Give", DesignationsField: "giftDesignations"},
			`{"amount":"0.500","contact":{"firstname":"Ana","referenceId":"7"},"currencyCode":"KWD","giftDate":"2026-11-20",` +
				`"giftDesignations":[{"amountDesignated":"0.125","projectCode":"A"},{"amountDesignated":"0.375","projectCode":"A"}],"giftType":"Credit",` +
				`"transactionId":"don-77120","transactionSource":"Acme Give"}`,
		},
		"defaults and fields of Virtuous": {
			fields{
				"contact":  fields{"name": "Ana Ruiz", "email": "ana@example.org"},
				"giftDate": "2026-11-21T02:00:00Z",
				"virtuousFields": fields{
					"frequency": "Monthly", "isPrivate": true, "exchangeRate": json.Number("1.10000000000000000001"), "notes": "a <b> & \u00fc",
					"customFields": []any{fields{"name": "Shirt", "value": json.Number("12345678901234567890")}}, "batch": "Gala", "segment": nil,
				},
			},
			giving.Settings{
				TransactionSource: "AcmeGive", DesignationsField: "designations",
				Defaults: []byte(`{"GiftType":"Cash","batch":"AcmeGive","isTaxDeductible":true,"segment":"WEB"}`),
			},
			`{"amount":"125.00","batch":"Gala","contact":{"email":"ana@example.org","name":"Ana Ruiz"},"currencyCode":"USD",` +
				`"customFields":[{"name":"Shirt","value":12345678901234567890}],"designations":[{"amountDesignated":"125.00","code":"CLEAN-WATER"}],` +
				`"exchangeRate":1.10000000000000000001,"frequency":"Monthly","giftDate":"2026-11-20","giftType":"Credit","isPrivate":true,` +
				`"isTaxDeductible":true,"notes":"a <b> & ü","segment":"WEB","transactionId":"don-77120","transactionSource":"AcmeGive"}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			zone, err := time.LoadLocation("America/Phoenix")
			require.NoError(t, err)
			d, errs := giving.Parse(message(t, one.change), "acme", zone)
			require.Empty(t, errs)
			stored, err := d.Encode()
			require.NoError(t, err)
			d, err = giving.DecodeDonation(stored)
			require.NoError(t, err)
			body, err := d.Transaction(one.settings)
			require.NoError(t, err)
			require.Equal(t, one.body, string(body))
			codes, err := giving.ProjectCodes(body)
			require.NoError(t, err)
			for i, designation := range d.Designations {
				require.Equal(t, designation.Code, codes[i])
			}
			require.Len(t, codes, len(d.Designations))
		})
	}
}

func TestTransactionWithUnreadableDefaultsIsAnError(t *testing.T) {
	t.Parallel()
	_, err := giving.Donation{}.Transaction(giving.Settings{Defaults: []byte(`[]`)})
	require.Error(t, err)
}
