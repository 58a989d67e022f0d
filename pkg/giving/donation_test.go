package giving_test

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/giving"
)

// valid returns the fields of a valid message.
func valid() map[string]any {
	return map[string]any{
		"customerId": "acme", "platformDonationId": "don-77120", "amount": "125.00", "currencyCode": "USD", "giftDate": "2026-11-20",
		"giftType": "Credit",
		"contact": map[string]any{
			"referenceId": "donor-310", "type": "Household", "firstName": "Ana", "lastName": "Ruiz", "email": "ana.ruiz@example.org",
			"phone":   "555-0100",
			"address": map[string]any{"address1": "9 Elm St", "city": "Mesa", "state": "AZ", "postal": "85201", "country": "US"},
		},
		"designations":      []any{designation("CLEAN-WATER", "125.00")},
		"platformReference": "ch_3Nf",
	}
}

func designation(code, amount string) map[string]any {
	return map[string]any{"code": code, "amountDesignated": amount}
}

// message returns the valid message with some fields replaced; nil leaves a field out.
func message(t testing.TB, changed map[string]any) []byte {
	t.Helper()
	fields := valid()
	maps.Copy(fields, changed)
	maps.DeleteFunc(fields, func(_ string, value any) bool { return value == nil })
	encoded, err := json.Marshal(fields)
	require.NoError(t, err)
	return encoded
}

// donor returns the message with some fields of the contact replaced; nil leaves a field out.
func donor(changed map[string]any) map[string]any {
	contact, _ := valid()["contact"].(map[string]any)
	maps.Copy(contact, changed)
	maps.DeleteFunc(contact, func(_ string, value any) bool { return value == nil })
	return map[string]any{"contact": contact}
}

func TestInvalidDonationHasOneErrorForEachWrongField(t *testing.T) {
	t.Parallel()
	type fields = map[string]any
	long := strings.Repeat("x", 1025)
	virtuous := func(members fields) fields { return fields{"virtuousFields": members} }
	sized := func(amount, currency string, parts ...string) fields {
		designations := make([]any, 0, len(parts))
		for _, part := range parts {
			designations = append(designations, designation("CLEAN-WATER", part))
		}
		return fields{"amount": amount, "currencyCode": currency, "designations": designations}
	}
	for name, bad := range map[string]struct {
		change fields
		wrong  []string
	}{
		"no customer":                  {fields{"customerId": nil}, []string{"customerId"}},
		"another customer":             {fields{"customerId": "other"}, []string{"customerId"}},
		"no id":                        {fields{"platformDonationId": nil}, []string{"platformDonationId"}},
		"empty id":                     {fields{"platformDonationId": ""}, []string{"platformDonationId"}},
		"long id":                      {fields{"platformDonationId": strings.Repeat("ü", 129)}, []string{"platformDonationId"}},
		"id with a slash":              {fields{"platformDonationId": "a/b"}, []string{"platformDonationId"}},
		"id with a line break":         {fields{"platformDonationId": "a\nb"}, []string{"platformDonationId"}},
		"id with a NUL":                {fields{"platformDonationId": "a\x00b"}, []string{"platformDonationId"}},
		"id with a C1 control":         {fields{"platformDonationId": "a\u0085b"}, []string{"platformDonationId"}},
		"id of a dot":                  {fields{"platformDonationId": "."}, []string{"platformDonationId"}},
		"id of two dots":               {fields{"platformDonationId": ".."}, []string{"platformDonationId"}},
		"id with a space at its end":   {fields{"platformDonationId": "don-1 "}, []string{"platformDonationId"}},
		"id that is a number":          {fields{"platformDonationId": 77120}, []string{"platformDonationId"}},
		"no amount":                    {fields{"amount": nil}, []string{"amount"}},
		"amount that is a number":      {fields{"amount": 125}, []string{"amount"}},
		"amount of nothing":            {sized("0.00", "USD", "1.00"), []string{"amount"}},
		"negative amount":              {sized("-125.00", "USD", "125.00"), []string{"amount"}},
		"amount with a plus":           {fields{"amount": "+125.00"}, []string{"amount"}},
		"amount with a symbol":         {fields{"amount": "$125.00"}, []string{"amount"}},
		"amount with groups":           {fields{"amount": "1,125.00"}, []string{"amount"}},
		"amount with a decimal comma":  {fields{"amount": "125,00"}, []string{"amount"}},
		"amount with an exponent":      {fields{"amount": "1.25e2"}, []string{"amount"}},
		"huge exponent":                {fields{"amount": "1e999999999"}, []string{"amount"}},
		"amount with a point at end":   {fields{"amount": "125."}, []string{"amount"}},
		"amount with a point at front": {fields{"amount": ".50"}, []string{"amount"}},
		"amount with spaces":           {fields{"amount": " 125.00"}, []string{"amount"}},
		"amount of 16 digits":          {fields{"amount": "1234567890123456"}, []string{"amount"}},
		"amount that is no number":     {fields{"amount": "NaN"}, []string{"amount"}},
		"hexadecimal amount":           {fields{"amount": "0x7d"}, []string{"amount"}},
		"three decimals of USD":        {fields{"amount": "125.000"}, []string{"amount"}},
		"a decimal of JPY":             {sized("125.0", "JPY", "125"), []string{"amount"}},
		"four decimals of KWD":         {sized("1.0000", "KWD", "1"), []string{"amount"}},
		"five decimals of CLF":         {sized("1.00000", "CLF", "1"), []string{"amount"}},
		"no currency":                  {fields{"currencyCode": nil}, []string{"currencyCode"}},
		"unknown currency":             {fields{"currencyCode": "QQQ"}, []string{"currencyCode"}},
		"currency in small letters":    {fields{"currencyCode": "usd"}, []string{"currencyCode"}},
		"a currency's symbol":          {fields{"currencyCode": "$"}, []string{"currencyCode"}},
		"currency of spaces":           {fields{"currencyCode": "   "}, []string{"currencyCode"}},
		"two currencies":               {fields{"currencyCode": "USD EUR"}, []string{"currencyCode"}},
		"part of two currencies":       {fields{"currencyCode": "D E"}, []string{"currencyCode"}},
		"no date":                      {fields{"giftDate": nil}, []string{"giftDate"}},
		"date in the American form":    {fields{"giftDate": "11/20/2026"}, []string{"giftDate"}},
		"day that does not exist":      {fields{"giftDate": "2026-02-29"}, []string{"giftDate"}},
		"time without a zone":          {fields{"giftDate": "2026-11-20T22:00:00"}, []string{"giftDate"}},
		"date in another millennium":   {fields{"giftDate": "1026-11-20"}, []string{"giftDate"}},
		"date far ahead":               {fields{"giftDate": "2126-11-20"}, []string{"giftDate"}},
		"date in words":                {fields{"giftDate": "yesterday"}, []string{"giftDate"}},
		"long type":                    {fields{"giftType": long}, []string{"giftType"}},
		"type with a control":          {fields{"giftType": "Ca\tsh"}, []string{"giftType"}},
		"long reference":               {fields{"platformReference": long}, []string{"platformReference"}},
		"no contact":                   {fields{"contact": nil}, []string{"contact"}},
		"contact that is a text":       {fields{"contact": "Ana"}, []string{"contact"}},
		"contact without a name":       {donor(fields{"firstName": nil, "lastName": nil}), []string{"contact.name"}},
		"contact with a blank name":    {donor(fields{"firstName": "  ", "lastName": nil}), []string{"contact.name"}},
		"contact without a signal":     {fields{"contact": fields{"name": "Ana Ruiz"}}, []string{"contact"}},
		"contact with an empty signal": {fields{"contact": fields{"name": "Ana Ruiz", "address": fields{"city": " "}}}, []string{"contact"}},
		"contact without anything":     {fields{"contact": fields{}}, []string{"contact", "contact.name"}},
		"email without a host":         {donor(fields{"email": "ana"}), []string{"contact.email"}},
		"email with a name":            {donor(fields{"email": "Ana <ana@example.org>"}), []string{"contact.email"}},
		"long email":                   {donor(fields{"email": strings.Repeat("a", 250) + "@example.org"}), []string{"contact.email"}},
		"name with a line break":       {donor(fields{"lastName": "Ru\niz"}), []string{"contact.lastName"}},
		"long city":                    {donor(fields{"address": fields{"city": long}}), []string{"contact.address.city"}},
		"unknown field of the contact": {donor(fields{"nickname": "A"}), []string{"contact.nickname"}},
		"unknown field of an address":  {donor(fields{"address": fields{"zip": "85201"}}), []string{"contact.address.zip"}},
		"no designations":              {fields{"designations": nil}, []string{"designations"}},
		"empty designations":           {fields{"designations": []any{}}, []string{"designations"}},
		"designations as an object":    {fields{"designations": fields{}}, []string{"designations"}},
		"a cent too little":            {sized("125.00", "USD", "100.00", "24.99"), []string{"designations"}},
		"a cent too much":              {sized("125.00", "USD", "100.00", "25.01"), []string{"designations"}},
		"sum of tenths":                {sized("0.30", "USD", "0.10", "0.10", "0.11"), []string{"designations"}},
		"designation without a code":   {fields{"designations": []any{designation("", "125.00")}}, []string{"designations[0].code"}},
		"designation without amount":   {fields{"designations": []any{fields{"code": "A"}}}, []string{"designations[0].amountDesignated"}},
		"negative designation":         {sized("125.00", "USD", "130.00", "-5.00"), []string{"designations[1].amountDesignated"}},
		"designation of nothing":       {sized("125.00", "USD", "125.00", "0.00"), []string{"designations[1].amountDesignated"}},
		"designation with a fraction":  {sized("125.00", "USD", "124.999", "0.01"), []string{"designations[0].amountDesignated"}},
		"unknown field":                {fields{"currency": "USD"}, []string{"currency"}},
		"unknown field of Virtuous":    {virtuous(fields{"transactionid": "x"}), []string{"virtuousFields.transactionid"}},
		"a field of the donation":      {virtuous(fields{"amount": "1"}), []string{"virtuousFields.amount"}},
		"another source":               {virtuous(fields{"transactionSource": "x"}), []string{"virtuousFields.transactionSource"}},
		"a name that is a value":       {virtuous(fields{"ana@example.org": "x"}), []string{"virtuousFields"}},
		"NUL in a field of Virtuous":   {virtuous(fields{"notes": "a\x00b"}), []string{"virtuousFields.notes"}},
		"NUL deep in a field":          {virtuous(fields{"customFields": []any{fields{"value": "\x00"}}}), []string{"virtuousFields.customFields"}},
		"fields of Virtuous as a list": {fields{"virtuousFields": []any{}}, []string{"virtuousFields"}},
		"several at once": {
			fields{"amount": "x", "currencyCode": "x", "giftDate": "x", "designations": nil, "platformDonationId": "a/b"},
			[]string{"amount", "currencyCode", "designations", "giftDate", "platformDonationId"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, errs := giving.Parse(message(t, bad.change), "acme", time.UTC)
			require.Equal(t, bad.wrong, slices.Sorted(maps.Keys(errs)), "%v", errs)
			for field, texts := range errs {
				require.Len(t, texts, 1, field)
			}
			require.NotContains(t, errs.Error(), "Ruiz")
			require.NotContains(t, errs.Error(), "ana")
		})
	}
}

func TestMessageThatIsNoObjectHasOneErrorOfItsBody(t *testing.T) {
	t.Parallel()
	for _, body := range []string{"", "null", "[]", `"x"`, "{", `{"customerId":"acme"} x`, "\xff"} {
		_, errs := giving.Parse([]byte(body), "acme", time.UTC)
		require.Equal(t, []string{"body"}, slices.Collect(maps.Keys(errs)), body)
	}
	_, errs := giving.Parse([]byte(`{"amount":"1","amount":"2"}`), "acme", time.UTC)
	require.Equal(t, []string{"is given more than once"}, errs["amount"])
}

func TestMessagesThatMeanTheSameHaveTheSameCanonicalForm(t *testing.T) {
	t.Parallel()
	phoenix, err := time.LoadLocation("America/Phoenix")
	require.NoError(t, err)
	canonical := func(changed map[string]any) []byte {
		d, errs := giving.Parse(message(t, changed), "acme", phoenix)
		require.Empty(t, errs)
		encoded, err := d.Encode()
		require.NoError(t, err)
		read, err := giving.DecodeDonation(encoded)
		require.NoError(t, err)
		require.Equal(t, d, read)
		return encoded
	}
	first := canonical(nil)
	for _, same := range []map[string]any{
		{"amount": "125"}, {"amount": "125.0"}, {"amount": "0125.00"},
		{"designations": []any{designation(" CLEAN-WATER ", "125")}},
		{"giftDate": "2026-11-21T06:59:59Z"}, {"giftDate": "2026-11-20T23:59:59-07:00"},
		{"virtuousFields": map[string]any{}}, {"virtuousFields": map[string]any{"notes": nil}},
		donor(map[string]any{"firstName": " Ana ", "name": ""}),
	} {
		require.Equal(t, string(first), string(canonical(same)), "%v", same)
	}
	key := []byte("hash key")
	require.Equal(t, giving.ContentHash(key, first), giving.ContentHash(key, canonical(map[string]any{"amount": "125"})))
	for _, other := range []map[string]any{
		{"giftDate": "2026-11-21T07:00:00Z"}, {"giftType": nil}, {"platformReference": "ch_other"},
		{"virtuousFields": map[string]any{"notes": "x"}}, donor(map[string]any{"email": nil}),
	} {
		require.NotEqual(t, giving.ContentHash(key, first), giving.ContentHash(key, canonical(other)), "%v", other)
	}
	require.NotEqual(t, giving.ContentHash(key, first), giving.ContentHash([]byte("another key"), first))
}

func TestIDOfAnInvalidMessageIsKnownIfItCanBeShown(t *testing.T) {
	t.Parallel()
	require.Equal(t, "don-77120", giving.IDOf(message(t, map[string]any{"amount": "x"})))
	require.Equal(t, "don-1", giving.IDOf([]byte(`{"platform_donation_id":"don-1"}`)))
	for _, body := range []string{"", "[]", `{"platformDonationId":7}`, `{"platformDonationId":"a\nb"}`} {
		require.Empty(t, giving.IDOf([]byte(body)))
	}
}
