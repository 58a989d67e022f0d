package httpapi

import (
	"net/http"
	"testing"

	"github.com/danielgtaylor/huma/v2"
	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/service"
	"rollcall.dev/services/console/internal/access"
)

func TestErrorsOfServicesBecomeProblems(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	var next *rejection
	answers(f, "letters", "ls", func(string, operatorapi.LettersQuestion) (operatorapi.LettersReply, *rejection) {
		return operatorapi.LettersReply{}, next
	})
	for _, one := range []struct {
		rejected *rejection
		status   int
		detail   string
	}{
		{&rejection{code: service.CodeBadRequest, text: "some fields are not right", fields: map[string][]string{"kind": {"takes user"}}}, 400,
			"some fields are not right"},
		{&rejection{code: service.CodeNotFound, text: "not found"}, 404, notFound},
		{&rejection{code: service.CodeConflict, text: "it is settled"}, 409, "it is settled"},
		{&rejection{code: service.CodeBusy, text: "ask again"}, 503, "ask again"},
		{&rejection{code: service.CodeInternal, text: "internal error"}, 500, "rollcall.api.letters.ls: internal error"},
	} {
		next = one.rejected
		got := f.get("/letters", administrator())
		require.Equal(t, one.status, got.status)
		require.Equal(t, "application/problem+json", got.header.Get("Content-Type"))
		problem := into[huma.ErrorModel](t, got)
		require.Equal(t, one.detail, problem.Detail)
		if one.rejected.fields != nil {
			require.Equal(t, []*huma.ErrorDetail{{Location: "kind", Message: "takes user"}}, problem.Errors)
		}
		if one.status == http.StatusServiceUnavailable {
			require.Equal(t, retryAfter, got.header.Get("Retry-After"))
		}
	}
}

func TestSilentServiceIsNamed(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	got := f.get("/letters", administrator())
	require.Equal(t, http.StatusServiceUnavailable, got.status)
	require.Equal(t, retryAfter, got.header.Get("Retry-After"))
	require.Contains(t, into[huma.ErrorModel](t, got).Detail, "is the dlqretry service running")
}

func TestUnknownNamesAndPathsAreRejectedWithoutValues(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	got := f.checked(http.MethodGet, "/letters?ktnd=user", "", administrator())
	require.Equal(t, http.StatusUnprocessableEntity, got.status)
	require.Equal(t, "query.ktnd", into[huma.ErrorModel](t, got).Errors[0].Location)
	got = f.checked(http.MethodGet, "/letters?limit=secret", "", administrator())
	require.Equal(t, http.StatusUnprocessableEntity, got.status)
	require.NotContains(t, string(got.body), "secret")
	got = f.checked(http.MethodGet, "/letters?cursor=forged", "", administrator())
	require.Equal(t, "query.cursor", into[huma.ErrorModel](t, got).Errors[0].Location)

	missing := f.raw(http.MethodGet, "/nothing", "", administrator())
	require.Equal(t, http.StatusNotFound, missing.status)
	require.Equal(t, "application/problem+json", missing.header.Get("Content-Type"))
	wrong := f.raw(http.MethodDelete, "/letters", "", administrator())
	require.Equal(t, http.StatusMethodNotAllowed, wrong.status)
	require.Contains(t, into[huma.ErrorModel](t, wrong).Detail, "GET")
}

func TestForeignLettersAreNotListed(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	asked := ""
	answers(f, "letters", "ls", func(_ string, question operatorapi.LettersQuestion) (operatorapi.LettersReply, *rejection) {
		asked = question.CustomerID
		return operatorapi.LettersReply{Letters: []operatorapi.Letter{}, AsOf: fixedTime()}, nil
	})
	require.Equal(t, http.StatusOK, f.get("/letters", of("acme", access.Read)).status)
	require.Equal(t, "acme", asked)
	require.Equal(t, http.StatusNotFound, f.get("/letters?customer=bolt", of("acme", access.Read)).status)
	require.Equal(t, "acme", asked)
}
