package httpapi

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/pb33f/libopenapi"
	validator "github.com/pb33f/libopenapi-validator"
	"github.com/pb33f/libopenapi-validator/errors"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/services/console/internal/access"
)

// contract compares requests and answers with the OpenAPI document. It is made once, because its schemas are compiled for that.
var contract = sync.OnceValues(func() (validator.Validator, error) {
	_, document := build(Deps{Logger: zap.NewNop()})
	encoded, err := json.Marshal(document)
	if err != nil {
		return nil, err
	}
	parsed, err := libopenapi.NewDocument(encoded)
	if err != nil {
		return nil, err
	}
	made, errs := validator.NewValidator(parsed)
	if len(errs) > 0 {
		return nil, errs[0]
	}
	return made, nil
})

// differences returns in what an answer, and if requestToo the request, is not as the document says.
func differences(t *testing.T, request *http.Request, of answer, requestToo bool) []string {
	t.Helper()
	checks, err := contract()
	require.NoError(t, err)
	var found []*errors.ValidationError
	if requestToo {
		_, found = checks.ValidateHttpRequestSync(request)
	}
	if of.status != http.StatusNotModified { // it has no body
		response := &http.Response{StatusCode: of.status, Header: of.header, Body: io.NopCloser(bytes.NewReader(of.body)), Request: request}
		_, more := checks.ValidateHttpResponse(request, response)
		found = append(found, more...)
	}
	var texts []string
	for _, one := range found {
		parts := []string{one.Message + ": " + one.Reason}
		for _, cause := range one.SchemaValidationErrors {
			parts = append(parts, cause.FieldPath+" "+cause.Reason)
		}
		texts = append(texts, strings.Join(parts, "; "))
	}
	return texts
}

func TestDocumentIsOpenAPI(t *testing.T) {
	t.Parallel()
	checks, err := contract()
	require.NoError(t, err)
	valid, found := checks.ValidateDocument()
	require.True(t, valid, found)
}

// The checks of all other tests are worth nothing if they find nothing.
func TestTrafficThatIsNotAsTheDocumentSaysIsFound(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.knowsCustomers("acme")
	list := func() *http.Request { return newRequest(t, http.MethodGet, "/customers", "", administrator()) }
	good := f.get("/customers", administrator())
	require.Empty(t, differences(t, list(), good, true))
	tampered := func(change func(page map[string]any, first map[string]any)) answer {
		page := into[map[string]any](t, good)
		items, _ := page["items"].([]any)
		first, _ := items[0].(map[string]any)
		change(page, first)
		body, err := json.Marshal(page)
		require.NoError(t, err)
		return answer{status: good.status, header: good.header, body: body}
	}
	for name, wrong := range map[string]answer{
		"a name is missing":   tampered(func(_, first map[string]any) { delete(first, "pausedAt") }),
		"a type is another":   tampered(func(_, first map[string]any) { first["openLetters"] = "many" }),
		"a name is not known": tampered(func(page, _ map[string]any) { page["total"] = 1 }),
		"a null is not meant": tampered(func(_, first map[string]any) { first["customerId"] = nil }),
		"the form is another": {status: http.StatusOK, header: good.header, body: []byte(`[]`)},
		"it is no problem":    {status: http.StatusNotFound, header: http.Header{"Content-Type": {"application/problem+json"}}, body: []byte(`{"status":"404"}`)},
	} {
		require.NotEmpty(t, differences(t, list(), wrong, false), name)
	}

	unknown := newRequest(t, http.MethodPost, "/links", `{"customer":"acme"}`, administrator())
	require.NotEmpty(t, differences(t, unknown, f.raw(http.MethodPost, "/links", `{"customer":"acme"}`, administrator()), true))
	odd := newRequest(t, http.MethodPost, "/customers/acme/pause", "", administrator(), "Idempotency-Key", "caf\xe9")
	require.NotEmpty(t, differences(t, odd, answer{status: http.StatusNotModified}, true))
	settled[operatorapi.CustomerCommand, operatorapi.CustomerCommanded](f, "customers", "pause")
	require.Equal(t, http.StatusForbidden, f.post("/customers/acme/pause", "", of("acme", access.Read)).status, "a problem is as the document says, too")
}
