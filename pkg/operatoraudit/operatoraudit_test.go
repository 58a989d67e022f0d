package operatoraudit

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/store"
)

func TestFilterKeepsIDsAndNumbersAndHidesOtherTexts(t *testing.T) {
	t.Parallel()
	for name, one := range map[string]struct {
		request any
		want    string
	}{
		"letters by id": {
			operatorapi.LettersCommand{LettersFilter: operatorapi.LettersFilter{IDs: []string{"00000001"}}, Note: "Ana Ruiz left"},
			`{"ids":["00000001"],"note":"…"}`,
		},
		"letters by filter": {
			operatorapi.LettersCommand{LettersFilter: operatorapi.LettersFilter{
				CustomerID: "acme", ErrorCode: "http_422", Text: "ana@example.org", OlderThanSeconds: 60,
			}, AllMatching: true},
			`{"allMatching":true,"customerId":"acme","errorCode":"http_422","olderThanSeconds":60,"text":"…"}`,
		},
		"settings": {
			operatorapi.ConfigChange{
				CustomerID: "acme", PollCadenceMinutes: new(int32(5)), AdminEmail: new("ana@example.org"),
				ExternalSystemURL: new("https://crm.example.org/s3cret"), DestinationTokenSealed: "c2VhbGVk", Unset: []string{"adminEmail"},
			},
			`{"adminEmail":"…","customerId":"acme","destinationTokenSealed":"…","externalSystemUrl":"…","pollCadenceMinutes":5,"unset":["adminEmail"]}`,
		},
		"a text in a known field that is no id": {map[string]any{"id": "Ana Ruiz", "kind": "https://x/token"}, `{"id":"…","kind":"…"}`},
		"below and in lists": {
			map[string]any{"quietHours": map[string]any{"from": "08:00", "who": "Ana"}, "items": []any{map[string]any{"id": "7", "email": "a@b"}, []any{"x"}}},
			`{"items":[{"email":"…","id":"7"},"…"],"quietHours":{"from":"08:00","who":"…"}}`,
		},
		"an API token": {operatorapi.TokenAddition{Name: "Ana Ruiz", Rights: []string{"letters"}}, `{"name":"…","rights":["letters"]}`},
		"nothing":      {struct{}{}, `{}`},
		"no object":    {"s3cret", `{}`},
	} {
		got, err := FilterOf(one.request)
		require.NoError(t, err, name)
		require.Equal(t, one.want, string(got), name)
	}
}

func TestLongListIsCutShort(t *testing.T) {
	t.Parallel()
	ids := make([]string, 500)
	for i := range ids {
		ids[i] = "7"
	}
	got, err := FilterOf(map[string]any{"ids": ids})
	require.NoError(t, err)
	require.Equal(t, `{"ids":[`+strings.Repeat(`"7",`, maxListed)+`"and 480 more"]}`, string(got))
}

func TestResultKeepsCountsAndStates(t *testing.T) {
	t.Parallel()
	got, err := ResultOf(operatorapi.LettersDone{Matched: 3, Done: 2, Left: []operatorapi.LetterLeft{{RecordID: "821"}}})
	require.NoError(t, err)
	require.Equal(t, `{"done":2,"left":1,"matched":3}`, strings.ReplaceAll(string(got), `"asOf":"0001-01-01T00:00:00Z",`, ""))
	got, err = ResultOf(map[string]any{"action": "started", "text": "Ana Ruiz", "backfill": map[string]any{"id": 7}})
	require.NoError(t, err)
	require.JSONEq(t, `{"action":"started"}`, string(got))
	got, err = ResultOf([]string{"no object"})
	require.NoError(t, err)
	require.Nil(t, got)
}

func TestCallerIsNamedByItsHeaders(t *testing.T) {
	t.Parallel()
	var act store.Act
	Identify(&act, map[string][]string{
		"Rollcall-Operator": {" ana@ops-1\x1b[31m\n" + strings.Repeat("é", maxName)},
		"Nats-Request-Info": {`{"start":"2026-01-01T00:00:00Z","host":"10.1.2.3","acc":"OPS","user":"ana"}`},
	})
	require.Equal(t, "ana@ops-1[31m"+strings.Repeat("é", (maxName-13)/2), act.Operator)
	require.Equal(t, "OPS/ana", act.NATSUser)

	act = store.Act{}
	Identify(&act, map[string][]string{"Nats-Request-Info": {`no JSON`}})
	require.Equal(t, store.Act{}, act)
}

func TestOnlyValidCustomersAreNamed(t *testing.T) {
	t.Parallel()
	for customer, want := range map[string]string{"acme": "acme", "_unknown": "_unknown", "Ana Ruiz": "", "": ""} {
		require.Equal(t, want, CustomerOf(map[string]string{"customerId": customer}))
	}
	require.Empty(t, CustomerOf(json.RawMessage(`{`)))
}
