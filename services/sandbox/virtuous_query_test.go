package main

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// query asks a query and returns the ids of the rows, and the total.
func (s *fixture) query(path, body string) (ids []int, total int) {
	s.t.Helper()
	got := s.virtuous(http.MethodPost, path, body)
	require.Equal(s.t, http.StatusOK, got.status, got.body)
	ids = []int{}
	for _, row := range got.json(s.t)["list"].([]any) {
		ids = append(ids, int(row.(map[string]any)["id"].(float64)))
	}
	return ids, int(got.json(s.t)["total"].(float64))
}

func where(conditions ...string) string {
	return `{"groups":[{"conditions":[` + strings.Join(conditions, ",") + `]}],"sortBy":"Id"}`
}

func is(parameter, operator, value string) string {
	return fmt.Sprintf(`{"parameter":%q,"operator":%q,"value":%q}`, parameter, operator, value)
}

func TestQueryPagesByTheQueryStringAndByIDAndIgnoresTheBodysTake(t *testing.T) {
	t.Parallel()
	s := newGivingFixture(t, `{"maxTake":50}`)
	s.giving(http.MethodPost, "/gifts", `{"count":25}`, http.StatusCreated)

	first, total := s.query("/Gift/Query", `{"groups":[],"skip":10,"take":3}`)
	require.Len(t, first, 10)
	require.Equal(t, 88101, first[0])
	require.Equal(t, 25, total)
	page, _ := s.query("/Gift/Query/FullGift?skip=20&take=50", `{"groups":[]}`)
	require.Equal(t, []int{88121, 88122, 88123, 88124, 88125}, page)
	page, total = s.query("/Gift/Query/FullGift?take=2", where(is("Gift Id", "GreaterThan", "88123")))
	require.Equal(t, []int{88124, 88125}, page)
	require.Equal(t, 2, total)
	page, _ = s.query("/Gift/Query?take=2", `{"groups":[],"sortBy":"Gift Id","descending":true}`)
	require.Equal(t, []int{88125, 88124}, page)
	page, total = s.query("/Gift/Query?skip=99", `{}`)
	require.Empty(t, page)
	require.Equal(t, 25, total)

	for path, body := range map[string]string{
		"/Gift/Query?take=51":                          `{}`,
		"/Gift/Query?take=x":                           `{}`,
		"/Gift/Query?skip=-1":                          `{}`,
		"/Gift/Query":                                  `{"groups":`,
		"/Gift/Query/FullGift":                         where(is("Gift id", "Is", "1")),
		"/Gift/Query/FullGift?take=1":                  where(is("Gift Id", "Is After", "1")),
		"/Gift/Query/FullGift?take=2":                  where(is("Gift Id", "Is", "one")),
		"/Gift/Query/FullGift?take=3":                  where(is("Gift Date", "Is", "soon")),
		"/Gift/Query/FullGift?take=4":                  `{"sortBy":"contactName"}`,
		"/Gift/Query/FullGift?take=5":                  where(is("Amount", "Is", "")),
		"/Contact/Query?take=5":                        where(is("Gift Id", "Is", "1")),
		"/Gift/Query/FullGift?take=6&skip=99999999999": `{}`,
	} {
		require.Equal(t, http.StatusBadRequest, s.virtuous(http.MethodPost, path, body).status, path)
	}
}

func TestGroupsAreAlternativesAndConditionsOfAGroupAllHold(t *testing.T) {
	t.Parallel()
	s := newGivingFixture(t, "")
	s.giving(http.MethodPost, "/gifts", `{"amount":10,"giftType":"Cash","notes":"a"}`, http.StatusCreated)
	s.giving(http.MethodPost, "/gifts", `{"amount":20,"giftType":"Check"}`, http.StatusCreated)
	s.giving(http.MethodPost, "/gifts", `{"amount":30.5,"giftType":"Cash","giftDate":"2026-01-31",
		"designations":[{"code":"GENERAL","amount":30}]}`, http.StatusCreated)

	for body, wanted := range map[string][]int{
		where(is("Gift Type", "Is", "cash"), is("Amount", "GreaterThan", "10")):                                                       {88103},
		`{"groups":[{"conditions":[` + is("Amount", "Is", "10.00") + `]},{"conditions":[` + is("Gift Type", "IsNot", "Cash") + `]}]}`: {88101, 88102},
		where(`{"parameter":"Amount","operator":"Between","value":10,"secondaryValue":"20"}`):                                         {88101, 88102},
		where(is("Gift Date", "Before", "2/1/2026")):                                                                                  {88103},
		where(is("Gift Date", "OnOrAfter", "2026-11-20T23:00:00Z")):                                                                   {88101, 88102},
		where(is("Gift Date", "OnOrAfter", "Today")):                                                                                  {88101, 88102},
		where(is("Gift Date", "After", "30 Days Ago")):                                                                                {88101, 88102},
		where(is("Project Code", "Is", "general")):                                                                                    {88103},
		where(is("Project Code", "StartsWith", "CLEAN")):                                                                              {88101, 88102},
		where(is("Transaction Source", "IsNotKnown", "")):                                                                             {88101, 88102, 88103},
		where(is("Transaction Source", "Is", "AcmeGive")):                                                                             {},
		where(is("Contact Archived", "IsFalse", "")):                                                                                  {88101, 88102, 88103},
		where(is("Contact Id", "LessThanOrEqual", "5121")):                                                                            {88101, 88102},
		`{"groups":[{"conditions":[]}],"sortBy":"Amount","descending":true}`:                                                          {88103, 88102, 88101},
	} {
		ids, total := s.query("/Gift/Query", body)
		require.Equal(t, wanted, ids, body)
		require.Equal(t, len(wanted), total)
	}
}

func TestLastModifiedDateIsTheOrganisationsDayAndTheUTCParameterAnInstant(t *testing.T) {
	t.Parallel()
	s := newGivingFixture(t, `{"zone":"Pacific/Auckland","times":"milliseconds"}`)
	s.giving(http.MethodPost, "/gifts", "", http.StatusCreated) // noon of the 20th in UTC, 01:00 of the 21st in Auckland

	count := func(parameter, operator, value string) int {
		_, total := s.query("/Gift/Query/FullGift", where(is(parameter, operator, value)))
		_, contacts := s.query("/Contact/Query/FullContact", where(is(parameter, operator, value)))
		require.Equal(t, total, contacts)
		return total
	}
	require.Equal(t, 1, count("Last Modified Date", "Is", "2026-11-21"))
	require.Equal(t, 0, count("Last Modified Date", "Is", "2026-11-20"))
	require.Equal(t, 1, count("Last Modified Date", "OnOrAfter", "2026-11-21T23:59:59Z"), "the time does not count")
	require.Equal(t, 0, count("Last Modified Date", "After", "11/21/2026"))
	require.Equal(t, 1, count("Last Modified DateTime UTC", "OnOrAfter", "2026-11-20T12:00:00Z"))
	require.Equal(t, 1, count("Last Modified DateTime UTC", "OnOrAfter", "2026-11-20T12:00:00"))
	require.Equal(t, 0, count("Last Modified DateTime UTC", "OnOrAfter", "2026-11-20T12:00:00.001Z"))
	require.Equal(t, 1, count("Last Modified DateTime UTC", "Before", "2026-11-21"))

	require.Contains(t, s.virtuous(http.MethodGet, "/Gift/QueryOptions", "").body, "Last Modified DateTime UTC")
	s.giving(http.MethodPut, "/settings", `{"utcParameters":false}`, http.StatusOK)
	for _, entity := range []string{"Gift", "Contact"} {
		require.NotContains(t, s.virtuous(http.MethodGet, "/"+entity+"/QueryOptions", "").body, "UTC")
		got := s.virtuous(http.MethodPost, "/"+entity+"/Query", where(is("Last Modified DateTime UTC", "After", "2026-11-20")))
		require.Equal(t, http.StatusBadRequest, got.status)
	}
}

func TestQueryOptionsNameTheOperatorsThatQueriesAccept(t *testing.T) {
	t.Parallel()
	for spelling, value := range map[string]string{"words": "OnOrAfter", "guide": "Is After Or On"} {
		s := newGivingFixture(t, `{"operators":"`+spelling+`"}`)
		s.giving(http.MethodPost, "/gifts", "", http.StatusCreated)
		accepted := false
		for _, entity := range []string{"Gift", "Contact", "Project"} {
			got := s.virtuous(http.MethodGet, "/"+entity+"/QueryOptions", "").json(t)
			for _, each := range got["options"].([]any) {
				option := each.(map[string]any)
				for _, each := range option["operatorOptions"].([]any) {
					operator := each.(map[string]any)["operator"].(string)
					accepted = accepted || operator == value
					given := map[string]string{"Date": "2026-11-20", "String": "a", "List": "Cash"}[option["type"].(string)]
					if given == "" {
						given = "1"
					}
					condition := fmt.Sprintf(`{"parameter":%q,"operator":%q,"value":%q,"secondaryValue":%q}`, option["parameter"], operator, given, given)
					got := s.virtuous(http.MethodPost, "/"+entity+"/Query", where(condition))
					require.Equal(t, http.StatusOK, got.status, condition)
				}
			}
		}
		require.True(t, accepted, spelling)
	}
}

func TestRowsOfAQueryAreAbbreviatedAndFullOnesHaveTheReference(t *testing.T) {
	t.Parallel()
	s := newGivingFixture(t, "")
	s.submit(strings.Replace(anaGives, `"giftType":"Cash"`, `"giftType":"Credit","creditCardType":"Visa"`, 1))
	s.advance(24 * time.Hour)
	row := func(path string) map[string]any {
		return s.virtuous(http.MethodPost, path, `{"groups":[]}`).json(t)["list"].([]any)[0].(map[string]any)
	}
	short := row("/Gift/Query")
	require.Equal(t, "$125.00", short["amount"])
	require.Equal(t, "11/20/2026", short["giftDate"])
	require.NotContains(t, short, "transactionId")
	require.NotContains(t, short, "modifiedDateTimeUtc")
	full := row("/Gift/Query/FullGift")
	require.Equal(t, "don-1", full["transactionId"])
	require.Equal(t, "Visa", full["creditCardType"])
	require.Equal(t, "ana.ruiz@example.org", row("/Contact/Query")["email"])
	require.NotContains(t, row("/Contact/Query"), "contactReferences")
	require.Len(t, row("/Contact/Query/FullContact")["contactReferences"], 1)
	byContact := s.virtuous(http.MethodGet, "/Gift/ByContact/5120", "").json(t)
	require.Equal(t, []any{short}, byContact["list"])
}

func TestArchivedContactsAreShownOnlyOnRequest(t *testing.T) {
	t.Parallel()
	s := newGivingFixture(t, "")
	s.giving(http.MethodPost, "/contacts", `{"count":2}`, http.StatusCreated)
	before := s.virtuous(http.MethodGet, "/Contact/5120", "").json(t)["modifiedDateTimeUtc"]
	s.giving(http.MethodPut, "/contacts/5120", `{"isArchived":true}`, http.StatusOK)
	ids, _ := s.query("/Contact/Query", `{"groups":[]}`)
	require.Equal(t, []int{5121}, ids)
	ids, _ = s.query("/Contact/Query", `{"groups":[],"includeArchived":true}`)
	require.Equal(t, []int{5120, 5121}, ids)
	require.NotEqual(t, before, s.virtuous(http.MethodGet, "/Contact/5120", "").json(t)["modifiedDateTimeUtc"])
}

func TestProjectsAreListedQueriedAndFoundByCode(t *testing.T) {
	t.Parallel()
	s := newGivingFixture(t, "")
	s.giving(http.MethodPut, "/projects/NEW-ROOF", `{"name":"New Roof"}`, http.StatusOK)
	s.giving(http.MethodPut, "/projects/general", `{"active":false}`, http.StatusOK)
	list := s.virtuous(http.MethodGet, "/Project?take=100", "").json(t)
	require.InDelta(t, 5, list["total"], 0)
	ids, _ := s.query("/Project/Query?take=100", where(is("Active", "IsTrue", "")))
	require.Equal(t, []int{9, 10, 13}, ids)
	require.Equal(t, "New Roof", s.virtuous(http.MethodGet, "/Project/Code/new-roof", "").json(t)["name"])
	require.Equal(t, false, s.virtuous(http.MethodGet, "/Project/11", "").json(t)["isActive"])
	require.Equal(t, http.StatusNotFound, s.virtuous(http.MethodGet, "/Project/99", "").status)
}

func TestSlowQueryNeedsASmallerTakeAndAFaultRepeatsTheFirstPage(t *testing.T) {
	t.Parallel()
	s := newGivingFixture(t, `{"slowTake":25}`)
	s.giving(http.MethodPost, "/gifts", `{"count":5}`, http.StatusCreated)
	got := s.virtuous(http.MethodPost, "/Gift/Query/FullGift?take=26", `{}`)
	require.Equal(t, http.StatusGatewayTimeout, got.status)
	require.Contains(t, got.header.Get("Content-Type"), "text/html")
	s.query("/Gift/Query/FullGift?take=25", `{}`)

	s.control(http.MethodPost, "/faults", `{"target":"virtuous","kind":"same_page","operation":"gift_query"}`, http.StatusCreated)
	ids, _ := s.query("/Gift/Query/FullGift?take=2&skip=2", where(is("Gift Id", "GreaterThan", "88102")))
	require.Equal(t, []int{88101, 88102}, ids)
}
