package httpapi

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/danielgtaylor/huma/v2"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"rollcall.dev/pkg/service"
	"rollcall.dev/pkg/testkit"
	"rollcall.dev/services/console/internal/access"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// fixture is the API with a NATS server, on which tests answer for the services.
type fixture struct {
	t        *testing.T
	nats     *testkit.NATSServer
	handler  http.Handler
	document *huma.OpenAPI
	answers  *nats.Conn // of the services; flushed when one has begun to answer
	micro    micro.Service
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	server := testkit.NATS(t)
	f := &fixture{t: t, nats: server, answers: server.Conn(t)}
	f.handler, f.document = build(Deps{Conn: f.nats.Conn(t), Logger: zap.NewNop()})
	var err error
	f.micro, err = micro.AddService(f.answers, micro.Config{Name: "stand-in", Version: "1.0.0"})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, f.micro.Stop()) })
	return f
}

// administrator returns a principal that may do everything for every customer.
func administrator() access.Principal {
	return access.Principal{ID: "user:ada", Name: "Ada", Rights: access.Administrator.Rights()}
}

// of returns a principal of one customer with the given rights.
func of(customer string, rights ...access.Right) access.Principal {
	return access.Principal{ID: "link:1", Customer: customer, Rights: rights}
}

// rejection is an error of a service.
type rejection struct {
	code, text string
	fields     map[string][]string
}

func (r *rejection) Error() string { return r.text }

// answers stands in for a service. The question must have no field that its form has not.
func answers[Question, Reply any](f *fixture, noun, verb string, answer func(by string, question Question) (Reply, *rejection)) {
	f.t.Helper()
	err := f.micro.AddEndpoint(noun+"-"+verb, micro.HandlerFunc(func(request micro.Request) {
		var question Question
		strict := json.NewDecoder(bytes.NewReader(request.Data()))
		strict.DisallowUnknownFields()
		if err := strict.Decode(&question); err != nil {
			if err := request.Error(service.CodeBadRequest, err.Error(), nil); err != nil {
				f.t.Error(err)
			}
			return
		}
		reply, rejected := answer(request.Headers().Get("Rollcall-Operator"), question)
		if rejected == nil {
			if err := request.RespondJSON(reply); err != nil {
				f.t.Error(err)
			}
			return
		}
		var body []byte
		if rejected.fields != nil {
			var err error
			body, err = json.Marshal(service.FieldsError{Errors: rejected.fields})
			if err != nil {
				f.t.Error(err)
			}
		}
		if err := request.Error(rejected.code, rejected.text, body); err != nil {
			f.t.Error(err)
		}
	}), micro.WithEndpointSubject(service.APISubject(noun, verb)))
	require.NoError(f.t, err)
	require.NoError(f.t, f.answers.Flush())
}

// answer is what a client gets.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// into decodes the body.
func into[T any](t *testing.T, of answer) T {
	t.Helper()
	var value T
	require.NoError(t, json.Unmarshal(of.body, &value), string(of.body))
	return value
}

func newRequest(t *testing.T, method, path, body string, by access.Principal, headers ...string) *http.Request {
	t.Helper()
	var sent io.Reader
	if body != "" {
		sent = strings.NewReader(body)
	}
	request := httptest.NewRequestWithContext(access.With(t.Context(), by), method, Prefix+path, sent)
	request.Header.Set("Authorization", "Bearer test")
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	return request
}

// raw sends a request without checks.
func (f *fixture) raw(method, path, body string, by access.Principal, headers ...string) answer {
	f.t.Helper()
	recorder := httptest.NewRecorder()
	f.handler.ServeHTTP(recorder, newRequest(f.t, method, path, body, by, headers...))
	return answer{status: recorder.Code, header: recorder.Header(), body: recorder.Body.Bytes()}
}

// checked sends a request that is not as the document says. Its answer must be.
func (f *fixture) checked(method, path, body string, by access.Principal, headers ...string) answer {
	f.t.Helper()
	got := f.raw(method, path, body, by, headers...)
	require.Empty(f.t, differences(f.t, newRequest(f.t, method, path, body, by, headers...), got, false), "the document and the answer: %s", got.body)
	return got
}

// send sends a request. It and its answer must be as the document says.
func (f *fixture) send(method, path, body string, by access.Principal, headers ...string) answer {
	f.t.Helper()
	got := f.raw(method, path, body, by, headers...)
	require.Empty(f.t, differences(f.t, newRequest(f.t, method, path, body, by, headers...), got, true), "the document, the request and the answer: %s", got.body)
	return got
}

func (f *fixture) get(path string, by access.Principal, headers ...string) answer {
	f.t.Helper()
	return f.send(http.MethodGet, path, "", by, headers...)
}

func (f *fixture) post(path, body string, by access.Principal, headers ...string) answer {
	f.t.Helper()
	return f.send(http.MethodPost, path, body, by, headers...)
}
