package main

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/report"
	"rollcall.dev/pkg/service"
)

// held puts together what a message held.
func (o *office) held(id uuid.UUID, secrets bool) (format, whole string, pieces int) {
	o.t.Helper()
	question := report.LetterPayloadQuestion{ID: id.String(), Secrets: secrets}
	for {
		piece := answered[report.LetterPayload](o, "payload", question)
		whole += string(piece.Data)
		pieces++
		if piece.Next == nil {
			return piece.Format, whole, pieces
		}
		question.Offset = *piece.Next
	}
}

func TestAMessageIsShownWithoutItsSecretsUnlessTheyAreAskedFor(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	body := `{"customerId":"acme","VOMOTOKEN":"s3cret-1", "vomoTokenSealed":"x.y",` +
		`"virtuous":[{"token":{"deep":["s3cret-2"]},"webhook_secret":"s3cret-3"}],"token":null}`
	id := o.message(1, "acme", time.Hour, body)
	format, shown, _ := o.held(id, false)
	require.Equal(t, report.PayloadJSON, format)
	require.JSONEq(t, `{"customerId":"acme","VOMOTOKEN":"…","vomoTokenSealed":"x.y","virtuous":[{"token":"…","webhook_secret":"…"}],"token":null}`, shown)
	require.NotContains(t, shown, "s3cret")
	_, whole, _ := o.held(id, true)
	require.Equal(t, body, whole)
	looks := o.logs.FilterMessage("a message was shown to an operator").All()
	require.Len(t, looks, 2)
	require.Equal(t, true, looks[1].ContextMap()["secrets"])
}

func TestAMessageThatIsNoDocumentIsShownOnlyWithItsSecrets(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	for n, body := range []string{`{"vomoToken":"s3cret"`, `"s3cret"`, "s3cret \x00\xff", `{"a":1} {"vomoToken":"s3cret"}`, ``} {
		id := o.message(n+1, "acme", time.Hour, body)
		_, code, text := ask[report.LetterPayload](o, "payload", report.LetterPayloadQuestion{ID: id.String()})
		require.Equal(t, service.CodeConflict, code)
		require.Contains(t, text, "--secrets")
		require.NotContains(t, text, "s3cret")
		format, whole, _ := o.held(id, true)
		require.Equal(t, report.PayloadBytes, format)
		require.Equal(t, body, whole)
	}
}

func TestABrokenMessageNamesItsCharacterAndAByteOrderMarkIsSkipped(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	broken := o.message(1, "acme", time.Hour, `{”vomoToken”:”s3cret”}`)
	_, code, text := ask[report.LetterPayload](o, "payload", report.LetterPayloadQuestion{ID: broken.String()})
	require.Equal(t, service.CodeConflict, code)
	require.Contains(t, text, "a typographic quotation mark at byte 2 (line 1, column 2)")

	marked := o.message(2, "acme", time.Hour, "\ufeff"+`{"customerId":"acme","vomoToken":"s3cret"}`)
	for secrets, want := range map[bool]string{true: "s3cret", false: "…"} {
		format, whole, _ := o.held(marked, secrets)
		require.Equal(t, report.PayloadJSON, format)
		require.Equal(t, `{"customerId":"acme","vomoToken":"`+want+`"}`, whole)
	}
}

func TestALongMessageComesInPieces(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	body := `{"note":"` + strings.Repeat("ß", 125<<10) + `"}`
	_, whole, pieces := o.held(o.message(1, "acme", time.Hour, body), false)
	require.Equal(t, body, whole)
	require.Equal(t, 2, pieces)
}

func TestAMessageForNobodyOpensWithTheInstallationsKey(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	_, whole, _ := o.held(o.message(1, "_unknown", time.Hour, `{"a":1}`), false)
	require.JSONEq(t, `{"a":1}`, whole)
}

func TestALetterWithoutAMessageOrWithoutItsKeySaysSo(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	gone := o.message(1, "acme", time.Hour, `{}`)
	o.exec(`DELETE FROM customer_keys`)
	for id, want := range map[string]struct{ code, text string }{
		gone.String():                           {service.CodeConflict, "was destroyed"},
		o.record(2, "acme", time.Hour).String(): {service.CodeConflict, "holds no message"},
		uuid.NewString():                        {service.CodeNotFound, "not found"},
		"00000001":                              {service.CodeBadRequest, "whole id"},
	} {
		_, code, text := ask[report.LetterPayload](o, "payload", report.LetterPayloadQuestion{ID: id, Secrets: true})
		require.Equal(t, want.code, code, id)
		require.Contains(t, text, want.text)
	}
}

func TestSecretsAreFoundWhereverTheyStand(t *testing.T) {
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
