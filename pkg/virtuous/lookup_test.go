package virtuous

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/fault"
)

func TestLookupReturnsTheGiftOfTheTransaction(t *testing.T) {
	t.Parallel()
	want, err := ParseGift(payloadAt(t, "webhooks/observed_gift_create_single.json", "gift"))
	require.NoError(t, err)
	f := newFixture(t, answering(200, string(want.Raw)))
	gift, err := f.GiftByTransaction(t.Context(), "acmegive", want.TransactionID)
	require.NoError(t, err)
	require.Equal(t, want, gift)
	require.True(t, gift.IsComplete())
}

func TestOnlyAGiftOfTheTransactionCountsAsOne(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"the pending transaction":    `{"transactionSource":"AcmeGive","transactionId":"don-1","status":"Pending"}`,
		"no whole id":                `{"id":1.5,"transactionSource":"AcmeGive","transactionId":"don-1"}`,
		"id null":                    `{"id":null,"transactionSource":"AcmeGive","transactionId":"don-1"}`,
		"id zero":                    `{"id":0,"transactionSource":"AcmeGive","transactionId":"don-1"}`,
		"another source":             `{"id":1,"transactionSource":"OtherVendor","transactionId":"don-1"}`,
		"another transaction":        `{"id":1,"transactionSource":"AcmeGive","transactionId":"DON-1"}`,
		"no source":                  `{"id":1,"transactionId":"don-1"}`,
		"source null":                `{"id":1,"transactionSource":null,"transactionId":"don-1"}`,
		"a list":                     `[{"id":1,"transactionSource":"AcmeGive","transactionId":"don-1"}]`,
		"a wrapper":                  `{"gift":{"id":1,"transactionSource":"AcmeGive","transactionId":"don-1"}}`,
		"nothing":                    ``,
		"null":                       `null`,
		"a page":                     `<html>Ana Ruiz</html>`,
		"cut":                        `{"id":1,"transactionSource":"AcmeGive"`,
		"something behind the gift":  `{"id":1,"transactionSource":"AcmeGive","transactionId":"don-1"} x`,
		"a gift whose id is a text ": `{"id":"one","transactionSource":"AcmeGive","transactionId":"don-1"}`,
	} {
		f := newFixture(t, answering(200, body, "X-Request-Id", "req-1"))
		_, err := f.GiftByTransaction(t.Context(), "AcmeGive", "don-1")
		require.ErrorIs(t, err, ErrUnknownAnswer, name)
		require.NotErrorIs(t, err, ErrNotFound)
		require.Equal(t, "virtuous_unknown_answer", fault.CodeOf(err))
		require.Equal(t, fault.KindUnknown, fault.KindOf(err))
		require.Equal(t, "req-1", RequestID(err))
		require.Len(t, f.got(), 1, "another attempt would have the same answer")
		requireDiscreet(t, err)
	}
}

func TestLookupAcceptsNumbersAsIDs(t *testing.T) {
	t.Parallel()
	f := newFixture(t, answering(200, `{"id":"1","transactionSource":"ACMEGIVE","transactionId":42}`))
	gift, err := f.GiftByTransaction(t.Context(), "AcmeGive", "42")
	require.NoError(t, err)
	require.EqualValues(t, 1, gift.ID)
}

func TestRecordsAreReadByTheirIDs(t *testing.T) {
	t.Parallel()
	f := newFixture(t, func(w http.ResponseWriter, r *http.Request) {
		answering(200, map[string]string{
			"/api/Gift/1": string(payload(t, "recorded/gift.json")), "/api/Contact/1": string(payload(t, "recorded/contact.json")),
		}[r.URL.Path])(w, r)
	})
	gift, err := f.Gift(t.Context(), 1)
	require.NoError(t, err)
	require.Equal(t, "10.5", gift.Amount.String())
	contact, err := f.Contact(t.Context(), 1)
	require.NoError(t, err)
	require.Equal(t, "Example Org", contact.Name)
}

func TestAnotherRecordIsAnUnknownAnswer(t *testing.T) {
	t.Parallel()
	f := newFixture(t, answering(200, `{"id":2}`))
	_, err := f.Gift(t.Context(), 1)
	require.ErrorIs(t, err, ErrUnknownAnswer)
	_, err = f.Contact(t.Context(), 1)
	require.ErrorIs(t, err, ErrUnknownAnswer)
	_, err = f.Subscription(t.Context(), 1)
	require.ErrorIs(t, err, ErrUnknownAnswer)
}
