package rollcallv1_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

// The cases are in testdata/onboarding, each with its expected result.
func TestMessagesFromEditorsAreReadOrErrorNamesCharacter(t *testing.T) {
	t.Parallel()
	want := map[string]rollcallv1.FieldErrors{
		"bom.json":            {},
		"trailing-comma.json": {"body": {"is not JSON: a comma before a closing bracket at byte 105 (line 1, column 105)"}},
		"typographic-quotes.json": {"body": {"is not JSON: a typographic quotation mark at byte 2 (line 1, column 2); " +
			"JSON takes plain double quotation marks only"}},
	}
	files, err := filepath.Glob("testdata/onboarding/*")
	require.NoError(t, err)
	require.Len(t, files, len(want))
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		request := &rollcallv1.OnboardingRequest{}
		errs := rollcallv1.Decode(text, request)
		require.Equal(t, want[filepath.Base(file)], errs, file)
		require.NotContains(t, errs.Error(), "acme")
		if len(errs) == 0 {
			require.Empty(t, request.Validate("acme", false))
			require.Equal(t, "sandbox-acme-token", request.GetVomoToken())
		}
	}
}

func TestBrokenJSONErrorNamesCharacterAndPlace(t *testing.T) {
	t.Parallel()
	const (
		plainOnly = "; JSON takes plain double quotation marks only"
		before    = "; before it, a typographic quotation mark at byte 8 (line 1, column 8)"
	)
	for text, want := range map[string]string{
		``:                                     "it is empty",
		" \n":                                  "it is empty",
		"\ufeff":                               "it is empty",
		`{`:                                    "it ends too early, after byte 1 (line 1, column 1)",
		"{\n\"customerId\":\"ac":               "it ends too early, after byte 18 (line 2, column 16)",
		`{"customerId":}`:                      "a bracket that does not belong there at byte 15 (line 1, column 15)",
		"{\n  \"customerId\": \"acme\" ,\n}\n": "a comma before a closing bracket at byte 26 (line 2, column 24)",
		`{"a":[1,]}`:                           "a comma before a closing bracket at byte 8 (line 1, column 8)",
		`{'customerId':'acme'}`:                "a single quotation mark at byte 2 (line 1, column 2)" + plainOnly,
		"\ufeff{“customerId”:1}":               "a typographic quotation mark at byte 5 (line 1, column 2)" + plainOnly,
		"{\"a\":\"é\",\n\"b\":»x«}":            "a typographic quotation mark at byte 16 (line 2, column 5)" + plainOnly,
		`{"a":"b”,"c":"d"}`:                    "a letter outside quotation marks at byte 13 (line 1, column 11)" + before,
		`{"a":"b”}`:                            "it ends too early, after byte 11 (line 1, column 9)" + before,
		`{"a":1 "b":2}`:                        "a quotation mark that nothing separates from what is before it at byte 8 (line 1, column 8)",
		`{"a":1}{}`:                            "a bracket that does not belong there at byte 8 (line 1, column 8)",
		`{"a":1} x`:                            "a letter outside quotation marks at byte 9 (line 1, column 9)",
		"{\"a\":\u00a01}":                      "a space that is not a plain one at byte 6 (line 1, column 6)",
		"{\u200b\"a\":1}":                      "an invisible character at byte 2 (line 1, column 2)",
		"\ufeff\ufeff{}":                       "an invisible character at byte 4 (line 1, column 1)",
		"{\"a\":\"b\nc\"}":                     "a line break inside a text at byte 8 (line 1, column 8)",
		`{"a":"c:\d"}`:                         "a backslash before a character that needs none at byte 9 (line 1, column 9)",
		`{"a":1 // it}`:                        "a slash or number sign (JSON has no comments) at byte 8 (line 1, column 8)",
		`{customerId:"acme"}`:                  "a letter outside quotation marks at byte 2 (line 1, column 2)",
		"\x00":                                 "a control character at byte 1 (line 1, column 1)",
		"{\"a\":1,\x00":                        "a control character at byte 8 (line 1, column 8)",
		`{"a":01}`:                             "a digit that does not belong there at byte 7 (line 1, column 7)",
	} {
		require.Equal(t, "is not JSON: "+want, rollcallv1.DescribeBrokenJSON([]byte(text)), "%q", text)
		_, errs := decoded(text)
		require.Equal(t, rollcallv1.FieldErrors{"body": {"is not JSON: " + want}}, errs, "%q", text)
	}
	require.Equal(t, "is not JSON: it is written in UTF-16; save it as UTF-8", rollcallv1.DescribeBrokenJSON([]byte("\xff\xfe{\x00}\x00")))
	require.Equal(t, "is not valid UTF-8: byte 8 (line 2, column 6) does not belong to a character",
		rollcallv1.DescribeBrokenJSON([]byte("{\n\"a\":\"\xfc\"}"))) // Latin-1
	for _, text := range []string{"{}", "\ufeff {}\n", "[]", "1"} {
		require.Empty(t, rollcallv1.DescribeBrokenJSON([]byte(text)), "%q", text)
	}
}

func TestBrokenJSONErrorDoesNotQuoteInput(t *testing.T) {
	t.Parallel()
	const token = "Q7xWz|91"
	whole := `{"vomoToken":"` + token + `","customerId":"` + token + `"}`
	for at := range whole {
		for _, broken := range []string{whole[:at], whole[:at] + "”" + whole[at:], whole[:at] + token + whole[at:], whole[at:]} {
			_, errs := decoded(broken)
			for _, part := range []string{"Q7", "Wz", "|9", "vomo\"", "”"} {
				require.NotContains(t, strings.Join(errs["body"], " "), part, "%q", broken)
			}
		}
	}
}
