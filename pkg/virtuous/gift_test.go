package virtuous

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestRecordedGiftIsRead(t *testing.T) {
	t.Parallel()
	gift, err := ParseGift(payload(t, "recorded/gift.json"))
	require.NoError(t, err)
	require.True(t, gift.IsComplete(), gift.Missing)
	require.EqualValues(t, 1, gift.ID)
	require.Equal(t, "source", gift.TransactionSource)
	require.Equal(t, "42", gift.TransactionID, "a number here")
	require.EqualValues(t, 1, gift.ContactID)
	require.Equal(t, "10.5", gift.Amount.String())
	require.Equal(t, "2023-12-07", gift.Date.String())
	require.Equal(t, time.Date(2023, 12, 7, 16, 10, 47, 30_000_000, time.UTC), gift.ModifiedAt)
	require.True(t, gift.IsTaxDeductible)
	require.Empty(t, gift.Designations)
	require.Empty(t, gift.CustomFields)
}

func TestRecordedFullGiftRowIsRead(t *testing.T) {
	t.Parallel()
	gift, err := ParseGift(payload(t, "recorded/gift_full_query_credit.json"))
	require.NoError(t, err)
	require.True(t, gift.IsComplete(), gift.Missing)
	require.Equal(t, "KY", gift.CustomFields["Tribute Card Recipient - State"], "a list of names and values")
	require.NotEmpty(t, gift.Designations)
}

func TestCreatedGiftsWithZoneAndWithoutTransactionAreRead(t *testing.T) {
	t.Parallel()
	gift, err := ParseGift(payloadAt(t, "recorded/gifts_created_bulk.json", "0"))
	require.NoError(t, err)
	require.True(t, gift.IsComplete(), "null is an answer: staff entered the gift")
	require.Empty(t, gift.TransactionSource)
	require.False(t, gift.IsOf("", ""), "a gift without a transaction is of none")
	require.Equal(t, time.Date(2023, 12, 8, 16, 56, 52, 612_603_000, time.UTC), gift.ModifiedAt)
}

func TestGiftOfWebhookIsReadInOddTypes(t *testing.T) {
	t.Parallel()
	gift, err := ParseGift(payloadAt(t, "webhooks/odd_types.json", "models.0.gift"))
	require.NoError(t, err)
	require.EqualValues(t, 88111, gift.ID)
	require.Equal(t, "77128", gift.TransactionID)
	require.EqualValues(t, 5120, gift.ContactID)
	require.Equal(t, "1234.5", gift.Amount.String())
	require.Equal(t, map[string]string{"UTM Campaign": "spring-2026"}, gift.CustomFields, "a map here; fields without value are left out")
}

func TestIncompleteGiftNamesWhatItLacks(t *testing.T) {
	t.Parallel()
	for raw, missing := range map[string][]string{
		`{"id":1}`: {"amount", "contactId", "giftType", "giftDate", "modifiedDateTimeUtc", "transactionSource", "transactionId", "giftDesignations"},
		`{"id":1,"amount":"a lot","contactId":2.5,"giftType":"Cash","giftDate":"soon","modifiedDateTimeUtc":[],
			"transactionSource":{},"transactionId":true,"giftDesignations":[]}`: {
			"amount", "contactId", "giftDate", "modifiedDateTimeUtc", "transactionSource", "transactionId",
		},
		`{"id":1,"amount":1,"contactId":2,"giftType":"Cash","giftDate":"2026-02-19T00:00:00","modifiedDateTimeUtc":"2026-02-19T00:00:00","transactionSource":null,
			"transactionId":null,"giftDesignations":[{"projectCode":"A","amountDesignated":"?"},{"projectCode":"B"},3]}`: {"giftDesignations"},
	} {
		gift, err := ParseGift([]byte(raw))
		require.NoError(t, err)
		require.Equal(t, missing, gift.Missing, raw)
		require.False(t, gift.IsComplete())
	}
}

func TestValueWithoutIDIsNoRecord(t *testing.T) {
	t.Parallel()
	for _, raw := range []string{
		``, `null`, `[]`, `"1"`, `1`, `{}`, `{"ID":1}`, `{"id":null}`, `{"id":0}`, `{"id":-1}`, `{"id":1.5}`, `{"id":"1.0"}`,
		`{"id":"+1"}`, `{"id":"one"}`, `{"id":1e2}`,
		`{"id":true}`, `{"id":{}}`, `{"id":92233720368547758079}`, `{"id":1`, `{"id":1}{}`,
	} {
		_, err := ParseGift([]byte(raw))
		require.ErrorIs(t, err, ErrNotRecord, raw)
		_, err = ParseContact([]byte(raw))
		require.ErrorIs(t, err, ErrNotRecord, raw)
	}
}

func TestCanonicalFieldsDoNotDependOnForm(t *testing.T) {
	t.Parallel()
	const answer = `{"id":1,"amount":125.0,"contactId":5,"giftType":"ReversingTransaction",
		"giftDate":"2026-02-19T00:00:00","modifiedDateTimeUtc":"2026-02-20T07:03:11.0466666",
		"transactionSource":"AcmeGive","transactionId":"7","currencyCode":"USD","notes":null,"batch":null,"isPrivate":false,"isTaxDeductible":true,
		"giftDesignations":[{"projectId":9,"projectCode":"A","amountDesignated":100},{"projectId":2,"projectCode":"B","amountDesignated":25.00}],"customFields":[]}`
	const webhook = `{"id":"1","amount":"$125.00","contactId":"5","giftType":"Reversing Transaction",
		"giftDate":"2026-02-19","modifiedDateTimeUtc":"2026-02-20T07:03:11.05Z",
		"transactionSource":"AcmeGive","transactionId":7,"currencyCode":"usd","notes":"","isPrivate":"False","isTaxDeductible":"True",
		"giftDesignations":[{"projectId":2,"amountDesignated":"25"},{"projectId":"9","amountDesignated":"$100"}],"customFields":{"Receipt Status":""}}`
	one, err := ParseGift([]byte(answer))
	require.NoError(t, err)
	other, err := ParseGift([]byte(webhook))
	require.NoError(t, err)
	require.Equal(t, one.Fields(), other.Fields())
	require.True(t, SameTime(one.ModifiedAt, other.ModifiedAt))
	require.True(t, one.IsReversal())
}

func TestEachCanonicalFieldOfAGiftCounts(t *testing.T) {
	t.Parallel()
	const raw = `{"id":1,"amount":125,"contactId":5,"giftType":"Cash","giftDate":"2026-02-19",
		"transactionSource":"AcmeGive","transactionId":"7","currencyCode":"USD",
		"notes":"n","batch":"b","segmentCode":"s","receiptDate":"2026-02-20","isPrivate":false,"isTaxDeductible":true,
			"contactPassthroughId":3,"contactIndividualId":4,
		"giftDesignations":[{"projectId":9,"amountDesignated":125}]}`
	gift, err := ParseGift([]byte(raw))
	require.NoError(t, err)
	changes := map[string][2]string{
		"amount": {`"amount":125`, `"amount":126`}, "contactId": {`"contactId":5`, `"contactId":6`}, "giftType": {"Cash",
			"Check"}, "giftDate": {"2026-02-19", "2026-02-18"},
		"transactionSource": {"AcmeGive", "Other"}, "transactionId": {`"transactionId":"7"`, `"transactionId":"8"`}, "currencyCode": {"USD", "EUR"},
		"notes": {`"notes":"n"`, `"notes":"m"`}, "batch": {`"batch":"b"`, `"batch":"c"`}, "segmentCode": {`"segmentCode":"s"`, `"segmentCode":null`},
		"receiptDate": {"2026-02-20", "2026-02-21"}, "isPrivate": {"false", "true"}, "isTaxDeductible": {"true", "false"},
		"contactPassthroughId": {`"contactPassthroughId":3`, `"contactPassthroughId":null`},
		"contactIndividualId":  {`"contactIndividualId":4`, `"contactIndividualId":5`},
		"giftDesignations":     {`"amountDesignated":125`, `"amountDesignated":124`},
	}
	require.Len(t, changes, len(gift.Fields()))
	for name, change := range changes {
		changed, err := ParseGift([]byte(strings.Replace(raw, change[0], change[1], 1)))
		require.NoError(t, err)
		require.Equal(t, []string{name}, differing(gift.Fields(), changed.Fields()))
	}
}

func differing(one, other []Field) []string {
	var names []string
	for i := range one {
		if one[i] != other[i] {
			names = append(names, one[i].Name)
		}
	}
	return names
}

func TestReversalIsKnownByItsTypeOrItsSign(t *testing.T) {
	t.Parallel()
	reversing, err := ParseGift(payloadAt(t, "webhooks/observed_gift_create_reversing.json", "models.0.gift"))
	require.NoError(t, err)
	require.True(t, reversing.IsReversal())
	require.True(t, Gift{Type: "Reversing Transaction"}.IsReversal())
	require.True(t, Gift{Type: "Cash", Amount: money(t, "-5")}.IsReversal())
	require.False(t, Gift{Type: "Cash", Amount: money(t, "5")}.IsReversal())
}

func TestSourceIsComparedWithoutCaseAndIDExactly(t *testing.T) {
	t.Parallel()
	gift, err := ParseGift(payloadAt(t, "webhooks/odd_case_of_source.json", "models.0.gift"))
	require.NoError(t, err)
	require.True(t, gift.IsOf("AcmeGive", gift.TransactionID), gift.TransactionSource)
	require.False(t, gift.IsOf("AcmeGive", strings.ToUpper(gift.TransactionID)))
	foreign, err := ParseGift(payloadAt(t, "webhooks/odd_foreign_source.json", "models.0.gift"))
	require.NoError(t, err)
	require.False(t, foreign.IsOf("AcmeGive", "don-77120"))
}

func TestTextOfRecordCanBeStored(t *testing.T) {
	t.Parallel()
	gift, err := ParseGift([]byte(`{"id":1,"transactionSource":"Ac` + "\xff" + `me\u0000","notes":"\ud800"}`))
	require.NoError(t, err)
	require.Equal(t, "Ac\ufffdme", gift.TransactionSource)
	require.NotContains(t, gift.Notes, "\x00")
}
