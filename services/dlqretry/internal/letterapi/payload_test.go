package letterapi

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/deadletter"
	"rollcall.dev/pkg/destination"
	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/service"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/vault"
)

// held puts together what a message held.
func (f *fixture) held(id uuid.UUID, secrets bool) (format, whole string, pieces int) {
	f.t.Helper()
	question := operatorapi.LetterPayloadQuestion{ID: id.String(), Secrets: secrets}
	for {
		piece := answered[operatorapi.LetterPayload](f, "payload", question)
		whole += string(piece.Data)
		pieces++
		if piece.Next == nil {
			return piece.Format, whole, pieces
		}
		question.Offset = *piece.Next
	}
}

func TestPayloadHidesSecretsUnlessTheyAreAskedFor(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	body := `{"customerId":"acme","VOMOTOKEN":"s3cret-1", "vomoTokenSealed":"x.y",` +
		`"virtuous":[{"token":{"deep":["s3cret-2"]},"webhook_secret":"s3cret-3","refreshToken":"s3cret-4"}],"token":null}`
	id := f.message(1, "acme", time.Hour, body)
	format, shown, _ := f.held(id, false)
	require.Equal(t, operatorapi.PayloadJSON, format)
	require.JSONEq(t, `{"customerId":"acme","VOMOTOKEN":"…","vomoTokenSealed":"x.y",`+
		`"virtuous":[{"token":"…","webhook_secret":"…","refreshToken":"…"}],"token":null}`, shown)
	require.NotContains(t, shown, "s3cret")
	_, whole, _ := f.held(id, true)
	require.Equal(t, body, whole)
	looks := f.logs.FilterMessage("a message was shown to an operator").All()
	require.Len(t, looks, 2)
	require.Equal(t, true, looks[1].ContextMap()["secrets"])
}

func TestPayloadThatIsNoDocumentIsShownOnlyWithSecrets(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for n, body := range []string{`{"vomoToken":"s3cret"`, `"s3cret"`, "s3cret \x00\xff", `{"a":1} {"vomoToken":"s3cret"}`, ``} {
		id := f.message(n+1, "acme", time.Hour, body)
		_, code, text := ask[operatorapi.LetterPayload](f, "payload", operatorapi.LetterPayloadQuestion{ID: id.String()})
		require.Equal(t, service.CodeConflict, code)
		require.Contains(t, text, "--secrets")
		require.NotContains(t, text, "s3cret")
		format, whole, _ := f.held(id, true)
		require.Equal(t, operatorapi.PayloadBytes, format)
		require.Equal(t, body, whole)
	}
}

func TestBrokenPayloadNamesItsCharacterAndByteOrderMarkIsSkipped(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	broken := f.message(1, "acme", time.Hour, `{”vomoToken”:”s3cret”}`)
	_, code, text := ask[operatorapi.LetterPayload](f, "payload", operatorapi.LetterPayloadQuestion{ID: broken.String()})
	require.Equal(t, service.CodeConflict, code)
	require.Contains(t, text, "a typographic quotation mark at byte 2 (line 1, column 2)")

	marked := f.message(2, "acme", time.Hour, "\ufeff"+`{"customerId":"acme","vomoToken":"s3cret"}`)
	for secrets, want := range map[bool]string{true: "s3cret", false: "…"} {
		format, whole, _ := f.held(marked, secrets)
		require.Equal(t, operatorapi.PayloadJSON, format)
		require.Equal(t, `{"customerId":"acme","vomoToken":"`+want+`"}`, whole)
	}
}

func TestLongPayloadComesInPieces(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	body := `{"note":"` + strings.Repeat("ß", 125<<10) + `"}`
	_, whole, pieces := f.held(f.message(1, "acme", time.Hour, body), false)
	require.Equal(t, body, whole)
	require.Equal(t, 2, pieces)
}

func TestPayloadOfUnknownCustomerOpensWithInstallationKey(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	_, whole, _ := f.held(f.message(1, "_unknown", time.Hour, `{"a":1}`), false)
	require.JSONEq(t, `{"a":1}`, whole)
}

func TestPayloadOfRecordLetterOrDestroyedKeyIsAConflict(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	gone := f.message(1, "acme", time.Hour, `{}`)
	f.exec(`DELETE FROM customer_keys`)
	for id, want := range map[string]struct{ code, text string }{
		gone.String():                           {service.CodeConflict, "was destroyed"},
		f.record(2, "acme", time.Hour).String(): {service.CodeConflict, "holds no message"},
		uuid.NewString():                        {service.CodeNotFound, "not found"},
		"00000001":                              {service.CodeBadRequest, "whole id"},
	} {
		_, code, text := ask[operatorapi.LetterPayload](f, "payload", operatorapi.LetterPayloadQuestion{ID: id, Secrets: true})
		require.Equal(t, want.code, code, id)
		require.Contains(t, text, want.text)
	}
}

func TestSecretsAreHiddenAtAnyDepth(t *testing.T) {
	t.Parallel()
	for message, want := range map[string]string{
		`{}`: `{}`,
		`[]`: `[]`,
		`[1,"token","vomoToken",{"a":["token"]}]`:                          `[1,"token","vomoToken",{"a":["token"]}]`,
		`{"tok\u0065n":"x"}`:                                               `{"tok\u0065n":"…"}`,
		`{"Token" : "x" , "b" : 2 }`:                                       `{"Token" : "…" , "b" : 2 }`,
		`{"token":12.50,"token":true,"token":{"a":{"token":1}}}`:           `{"token":"…","token":"…","token":"…"}`,
		`[[{"x":{"webhookSecret":["a"]},"y":[{"vomo_token":"z"}]}],"end"]`: `[[{"x":{"webhookSecret":"…"},"y":[{"vomo_token":"…"}]}],"end"]`,
		`{"token":"","vomoToken":null,"apiKey":"k","my-password":"p"}`:     `{"token":"","vomoToken":null,"apiKey":"…","my-password":"…"}`,
		`{"a":"token","token":"a"}`:                                        `{"a":"token","token":"…"}`,
		" {\n \"token\" :\n\t\"x\"\n}\n":                                   " {\n \"token\" :\n\t\"…\"\n}\n",
	} {
		shown, _, err := hideSecrets([]byte(message))
		require.NoError(t, err)
		require.Equal(t, want, string(shown))
	}
}

func FuzzHideSecrets(f *testing.F) {
	f.Add([]byte(`{"vomoToken":"s3cret","a":[{"token":1e3}],"b":"\u0000"}`))
	f.Fuzz(func(t *testing.T, message []byte) {
		if !isDocument(message) {
			return
		}
		shown, _, err := hideSecrets(message)
		require.NoError(t, err)
		require.True(t, json.Valid(shown), "%q", shown)
		again, hiddenAgain, err := hideSecrets(shown)
		require.NoError(t, err)
		require.Equal(t, shown, again)
		_, before, _ := hideSecrets(message)
		require.LessOrEqual(t, hiddenAgain, before)
	})
}

// unavailableKeys is a key store whose keys cannot be opened, as if the key service did not answer.
type unavailableKeys struct{ vault.KeyStore }

func (unavailableKeys) CustomerKey(context.Context, string) (store.SealedKey, error) {
	return store.SealedKey{}, fmt.Errorf("open key: %w", vault.ErrUnavailable)
}

func TestLetterIsShownAlsoWithoutTheKeyOfTheDestinationsAnswer(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	id := f.record(1, "acme", time.Hour)
	sealed, err := f.api.vault.Seal(t.Context(), "acme", deadletter.PurposeAnswer, []byte(`{"status":422,"text":"is taken"}`))
	require.NoError(t, err)
	f.exec(`UPDATE dead_letters SET answer_sealed = $1`, sealed)
	show := func() operatorapi.LetterShown {
		return answered[operatorapi.LetterShown](f, "show", operatorapi.LetterQuestion{ID: id.String()})
	}
	require.Equal(t, &destination.Answer{Status: 422, Text: "is taken"}, show().DestinationAnswer)

	working := f.api.vault
	f.api.vault = &vault.Vault{Keeper: working.Keeper, Keys: unavailableKeys{working.Keys}}
	shown := show()
	require.Equal(t, "http_422", shown.ErrorCode)
	require.Nil(t, shown.DestinationAnswer)
	f.api.vault = working

	f.exec(`DELETE FROM customer_keys WHERE customer_id = 'acme'`)
	require.Nil(t, show().DestinationAnswer)
	require.Equal(t, []string{`letters.show done {"id": "` + id.String() + `"}`},
		column[string](f, `SELECT concat_ws(' ', verb, outcome, code, filter::text) FROM operator_audit`),
		"the destination's words were shown once")
}
