package main

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// links returns links.next of three pages and of one after the end, as JSON.
func (s *fixture) nextLinks(query string) []any {
	s.t.Helper()
	var found []any
	for _, page := range []string{"1", "2", "3", "4"} {
		body := s.vomo(http.MethodGet, "/users?page="+page+query, "").json(s.t)
		links, _ := body["links"].(map[string]any)
		next, there := links["next"]
		if !there {
			next = "(missing)"
		}
		if text, isText := next.(string); isText {
			next = strings.TrimPrefix(text, s.url+"/vomo/v1/users")
		}
		found = append(found, next)
	}
	return found
}

func TestNextLinkIsUntrueAsTheRuleSays(t *testing.T) {
	t.Parallel()
	s := newFixture(t, "-org", "acme:40")
	const foreign = "https://vomo.elsewhere.invalid/v1/users?page="
	for rule, want := range map[string][]any{
		`"next":"null_text"`:  {"null", "null", "null", "null"},
		`"next":"none"`:       {nil, nil, nil, nil},
		`"next":"missing"`:    {"(missing)", "(missing)", "(missing)", "(missing)"},
		`"next":"number"`:     {2.0, 3.0, 4.0, 5.0},
		`"next":"foreign"`:    {foreign + "2", foreign + "3", nil, nil},
		`"next":"unfiltered"`: {"?page=2", "?page=3", nil, nil},
		`"next":"self"`:       {"?name_like=+&page=1", "?name_like=+&page=2", "?name_like=+&page=3", "?name_like=+&page=4"},
		`"next":"on"`:         {"?name_like=+&page=2", "?name_like=+&page=3", "?name_like=+&page=4", "?name_like=+&page=5"},
		`"next":"foreign","to":"http://127.0.0.1:1"`: {
			"http://127.0.0.1:1/v1/users?page=2", "http://127.0.0.1:1/v1/users?page=3", nil, nil},
	} {
		id := s.fault(`{"target":"vomo","org":"acme","kind":"next",` + rule + `}`)
		require.Equal(t, want, s.nextLinks("&name_like=+"), rule)
		s.control(http.MethodDelete, "/faults/"+id, "", http.StatusNoContent)
	}
}

func TestTotalIsUntrueAsTheRuleSays(t *testing.T) {
	t.Parallel()
	s := newFixture(t, "-org", "acme:40")
	for rule, want := range map[string]string{
		`"by":7`: `"per_page":15,"total":47}`, `"by":-41`: `"total":-1}`, `"total":"many"`: `"total":"many"}`,
		`"total":null`: `"total":null}`, `"total":{"a":[1]}`: `"total":{"a":[1]}}`, `"count":1`: `"per_page":15}`,
	} {
		id := s.fault(`{"target":"vomo","kind":"total",` + rule + `}`)
		body := s.vomo(http.MethodGet, "/users", "").body
		require.Contains(t, body, want)
		require.Contains(t, body, `page=2"}`, "the links go on telling the truth")
		s.control(http.MethodDelete, "/faults/"+id, "", http.StatusNoContent)
	}
}

func TestSamePageAppliesTogetherWithOtherRules(t *testing.T) {
	t.Parallel()
	s := newFixture(t, "-org", "acme:40")
	s.fault(`{"target":"vomo","kind":"same_page","page":3}`)
	s.fault(`{"target":"vomo","kind":"next","next":"on"}`)
	for _, number := range []string{"1", "7"} {
		page := s.page("?page=" + number)
		require.Equal(t, []float64{1031, 1032, 1033, 1034, 1035, 1036, 1037, 1038, 1039, 1040}, ids(page))
		require.Equal(t, number, string(rune('0'+page.Meta.CurrentPage)))
		require.NotNil(t, page.Links.Next)
	}
	require.Equal(t, 200, s.vomo(http.MethodGet, "/users/1001", "").status, "a single user does not concern the rule")
}

func TestBatchAnswersHaveTooFewOrTooManyResults(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	body := `{"users":[` + record("vomo-1", "2026-02-01T00:00:00Z") + `,` + record("vomo-2", "2026-02-01T00:00:00Z") + `]}`
	for by, want := range map[string]int{"-1": 1, "-5": 0, "3": 5} {
		s.fault(`{"target":"crm","tenant":"acme","kind":"results","by":` + by + `,"count":1}`)
		got := s.do(http.MethodPost, "/crm/acme/users:batchUpsert", body, "")
		require.Equal(t, http.StatusOK, got.status)
		require.Len(t, got.json(t)["results"], want)
	}
	require.Len(t, dump[stored](s, "/crm/acme/users"), 2, "both were taken all the same")
}

func TestInvalidRuleForAnUntrueAnswerIsRejected(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	for _, rule := range []string{
		`"target":"vomo","kind":"next"`, `"target":"vomo","kind":"next","next":"up"`, `"target":"vomo","kind":"drop","next":"on"`,
		`"target":"vomo","kind":"next","next":"on","to":"http://a"`, `"target":"vomo","kind":"next","next":"foreign","to":"a"`,
		`"target":"vomo","kind":"total","total":3,"by":3`, `"target":"vomo","kind":"drop","total":3`, `"target":"vomo","kind":"next","next":"on","by":3`,
		`"target":"vomo","kind":"total","by":1000001`, `"target":"vomo","kind":"same_page","page":-1`, `"target":"vomo","kind":"drop","page":2`,
		`"target":"crm","kind":"next","next":"on"`, `"target":"crm","kind":"total"`, `"target":"crm","kind":"same_page"`,
		`"target":"vomo","kind":"results","by":1`, `"target":"crm","kind":"results","by":1,"records":["vomo-1"]`,
		`"target":"crm","kind":"slow_body"`, `"target":"crm","kind":"cut_body","delayMs":1`, `"target":"crm","kind":"endless_body","records":["a"]`,
	} {
		s.control(http.MethodPost, "/faults", "{"+rule+"}", http.StatusUnprocessableEntity)
	}
}
