package rollcallv1_test

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

// canaries look like a token, a key or a person's address. The tests put them in unexpected places.
var canaries = []string{"12|q7XwCanary9Zk", "eyJhbGciOiJub25lIn0.eyJxN1h3.c2ln", "q7XwCanary9Zk", "it.q7Xw@acme.example"}

// pathsOf returns all fields of a message, including nested ones, each as the text before and after a value.
func pathsOf(descriptor protoreflect.MessageDescriptor, before, after string) [][2]string {
	var paths [][2]string
	for i := range descriptor.Fields().Len() {
		field := descriptor.Fields().Get(i)
		opened := before + `{"` + field.JSONName() + `":`
		paths = append(paths, [2]string{opened, "}" + after})
		if field.Kind() == protoreflect.MessageKind && !field.IsMap() && !field.IsList() {
			paths = append(paths, pathsOf(field.Message(), opened, "}"+after)...)
		}
	}
	return paths
}

// No error may contain a token, wherever it was pasted.
func TestErrorsDoNotQuoteInput(t *testing.T) {
	t.Parallel()
	checked := 0
	for _, message := range []proto.Message{
		&rollcallv1.OnboardingRequest{}, &rollcallv1.OffboardRequest{}, &rollcallv1.BackfillRequest{}, &rollcallv1.DeadLetter{},
		&rollcallv1.PollRequest{}, &rollcallv1.ReconcileRequest{}, &rollcallv1.Donation{},
	} {
		places := append(pathsOf(message.ProtoReflect().Descriptor(), "", ""), [2]string{"", ""}, [2]string{`{"what":`, `}`})
		for _, canary := range canaries {
			quoted := `"` + canary + `"`
			for _, place := range places {
				for _, value := range []string{
					quoted, `[` + quoted + `]`, `{` + quoted + `:1}`, `{"a":` + quoted + `}`, quoted + `,` + quoted + `:1`, canary, quoted + ` ` + quoted, `[[[` + quoted,
					`{"token":` + quoted + `,"token":{` + quoted + `:` + quoted + `}}`, `"\u0000` + canary + `"`, `"` + canary + `\ud800"`, `"` + canary,
				} {
					text := place[0] + value + place[1]
					fresh := message.ProtoReflect().New().Interface()
					errs := rollcallv1.Decode([]byte(text), fresh)
					switch read := fresh.(type) {
					case *rollcallv1.OnboardingRequest:
						maps.Copy(errs, read.Validate("acme", true))
						requireNotQuoted(t, errs, canary, text)
						maps.Copy(errs, read.Validate("acme", false))
					case *rollcallv1.OffboardRequest:
						maps.Copy(errs, read.Validate("acme"))
					case *rollcallv1.BackfillRequest:
						maps.Copy(errs, read.Validate("acme"))
					case *rollcallv1.PollRequest:
						maps.Copy(errs, read.Validate("acme"))
					case *rollcallv1.ReconcileRequest:
						maps.Copy(errs, read.Validate("acme"))
					}
					requireNotQuoted(t, errs, canary, text)
					checked++
				}
			}
		}
	}
	require.Greater(t, checked, 1000)
}

func requireNotQuoted(t *testing.T, errs rollcallv1.FieldErrors, canary, text string) {
	t.Helper()
	for _, part := range []string{canary, "q7Xw"} {
		require.NotContains(t, errs.Error(), part, text)
		for field := range errs.ListValues() {
			require.NotContains(t, field, part, text)
		}
	}
}

const aPlace = `byte \d+ \(line \d+, column \d+\)`

// brokenBy lists every kind of character that an error may name.
var brokenBy = []string{
	`a comma before a closing bracket`, `a backslash before a character that needs none`, `an invisible character`, `a control character`,
	`a (typographic|single) quotation mark`, `a quotation mark that nothing separates from what is before it`,
	`a (line break|tab) inside a text`, `a space that is not a plain one`, `a (bracket|comma|colon|digit|sign) that does not belong there`,
	`a slash or number sign \(JSON has no comments\)`, `a letter outside quotation marks`,
	`a character outside ASCII and outside quotation marks`,
}

// vocabulary matches everything that an error of Decode or Validate may say.
var vocabulary = regexp.MustCompile(`^(` + strings.Join([]string{
	`is \d+ bytes long; at most 65536 are taken`, `is not a JSON object, but (an? (list|string|number)|true or false|null)`, `is given more than once`,
	`is not valid UTF-8: ` + aPlace + ` does not belong to a character`, `is not JSON: it is (empty|written in UTF-16; save it as UTF-8)`,
	`is not JSON: (it ends too early, after|(` + strings.Join(brokenBy, "|") + `) at) ` + aPlace +
		`(; JSON takes plain double quotation marks only|; before it, a typographic quotation mark at ` + aPlace + `)?`,
	`is not a field that this version knows; check the spelling or leave it out`,
	`has a field whose name this version does not know`, `has more fields that this version does not know`,
	`has the wrong type: expected a (string|number|whole number)`,
	`must be [^"'` + "`" + `]*`, `is missing[^'` + "`" + `]*`, `is given twice: give either \w+ or \w+`,
	`differs from the last token of the subject; the two must agree`,
	`is not an e-mail address`, `is in the clear, and this installation takes sealed tokens only: seal it to the key that ` + "`rollcall key`" + ` prints`,
	`is longer than 8192 bytes`, `has spaces or characters that no token has; paste it again without line breaks`,
}, "|") + `)$`)

// FuzzDecode checks that Decode returns for any input, and that its errors consist of our own words: known field
// names, names of unknown fields that cannot be tokens, and fixed texts.
func FuzzDecode(f *testing.F) {
	for _, canary := range canaries {
		for _, seed := range []string{
			`{"customerId":"` + canary + `"}`, `{"` + canary + `":1}`, `{"limits":{"requestsPerSecond":"` + canary + `"}}`, `{"destination":{"` + canary + `":[]}}`,
			canary, `[{"` + canary + `":null}]`,
		} {
			f.Add([]byte(seed))
		}
	}
	f.Add([]byte(`{"customerId":"acme","vomoToken":"a","externalSystemUrl":"https://x","limits":{"requestsPerSecond":1e400,"requestsPerMinute":"NaN"}}`))
	f.Add([]byte(`{"pollCadenceMinutes":-1,"pollCadenceMinutes":1e3,"destination":{"kind":"rest","tokenSealed":"\u0000\ud800"}}`))
	known := map[string]bool{"body": true}
	for _, path := range pathsOf((&rollcallv1.OnboardingRequest{}).ProtoReflect().Descriptor(), "", "") {
		known[strings.Trim(strings.ReplaceAll(strings.ReplaceAll(path[0], `":{"`, "."), `":`, ""), `{"`)] = true
	}
	shown := regexp.MustCompile(`^((destination|limits)\.)?[A-Za-z][A-Za-z_]{0,31}$`)
	f.Fuzz(func(t *testing.T, data []byte) {
		request := &rollcallv1.OnboardingRequest{}
		errs := rollcallv1.Decode(data, request)
		again := rollcallv1.Decode(data, &rollcallv1.OnboardingRequest{})
		require.Equal(t, errs, again, "the same body must give the same errors")
		for field, texts := range request.Validate("acme", false) {
			require.True(t, known[field], field)
			errs[field] = append(errs[field], texts...)
		}
		for _, field := range slices.Sorted(maps.Keys(errs)) {
			require.True(t, known[field] || shown.MatchString(field), "%q", field)
			for _, text := range errs[field] {
				require.Regexp(t, vocabulary, text)
			}
		}
		require.Less(t, len(errs.Error()), 8<<10)
	})
}
