package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const (
	virtuousKey = "v_sandbox-acme-key"
	anaGives    = `{"transactionSource":"AcmeGive","transactionId":"don-1","contact":{"referenceId":"donor-310","type":"Household",` +
		`"firstname":"Ana","lastname":"Ruiz","email":"ana.ruiz@example.org","phone":"555-0100","address":{"address1":"9 Elm St","city":"Mesa",` +
		`"state":"AZ","postal":"85201","country":"US"}},"giftDate":"2026-11-20","giftType":"Cash","amount":"125.00","currencyCode":"USD",` +
		`"designations":[{"code":"CLEAN-WATER","amountDesignated":"125.00"}]}`
)

// newGivingFixture starts a sandbox with the organisation acme of Virtuous. It is noon in UTC, and 5 in the morning in Arizona.
func newGivingFixture(t *testing.T, settings string) *fixture {
	t.Helper()
	return newFixture(t, "-virtuous", "acme:"+settings)
}

// virtuous asks Virtuous with acme's key.
func (s *fixture) virtuous(method, path, body string) reply {
	s.t.Helper()
	return s.do(method, "/virtuous/api"+path, body, virtuousKey)
}

// giving asks the control API about acme of Virtuous.
func (s *fixture) giving(method, path, body string, status int) map[string]any {
	s.t.Helper()
	return s.control(method, "/virtuous/orgs/acme"+path, body, status)
}

// gives returns Ana's transaction with another id, amount and donor.
func gives(id, amount, donor string) string {
	return strings.NewReplacer(
		"don-1", id, "125.00", amount, "donor-310", "donor-"+donor, "ana.ruiz", donor, "9 Elm St", donor+" Street", "555-0100", "",
	).Replace(anaGives)
}

func (s *fixture) submit(body string) {
	s.t.Helper()
	got := s.virtuous(http.MethodPost, "/v2/Gift/Transaction", body)
	require.Equal(s.t, http.StatusOK, got.status, got.body)
	require.Empty(s.t, got.body)
}

func (s *fixture) advance(by time.Duration) {
	s.t.Helper()
	s.control(http.MethodPut, "/clock", fmt.Sprintf(`{"advanceSeconds":%d}`, int(by.Seconds())), http.StatusOK)
}

// lookup returns the status and the gift of a transaction.
func (s *fixture) lookup(id string) (int, map[string]any) {
	s.t.Helper()
	got := s.virtuous(http.MethodGet, "/Gift/AcmeGive/"+id, "")
	return got.status, got.json(s.t)
}

type transactionLine struct {
	Source, ID, State, Reason, GiftState string
	GiftID                               int64
	Repeats                              int
	Body                                 json.RawMessage
}

func (s *fixture) transactions() map[string]transactionLine {
	s.t.Helper()
	byID := map[string]transactionLine{}
	for _, line := range dump[transactionLine](s, "/virtuous/orgs/acme/transactions") {
		byID[line.ID] = line
	}
	return byID
}

func TestTransactionIsHeldUntilTheOrganisationsMidnightAndThenBecomesAGift(t *testing.T) {
	t.Parallel()
	s := newGivingFixture(t, "")
	s.submit(anaGives)
	status, refusal := s.lookup("don-1")
	require.Equal(t, http.StatusNotFound, status)
	require.Equal(t, "NotFound", refusal["error"])

	s.advance(18*time.Hour + 59*time.Minute + 59*time.Second) // 23:59:59 in Arizona
	status, _ = s.lookup("don-1")
	require.Equal(t, http.StatusNotFound, status)
	s.advance(time.Second)
	status, gift := s.lookup("don-1")
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, "AcmeGive", gift["transactionSource"])
	require.Equal(t, "don-1", gift["transactionId"])
	require.InDelta(t, 125, gift["amount"], 0)
	require.Equal(t, "2026-11-20T00:00:00", gift["giftDate"])
	require.Equal(t, "11/20/2026", gift["giftDateFormatted"])
	require.Equal(t, "$125.00", gift["amountFormatted"])
	require.Equal(t, "AcmeGive 2026-11-20", gift["batch"])
	require.True(t, strings.HasPrefix(gift["createDateTimeUtc"].(string), "2026-11-21T07:00:0"), gift["createDateTimeUtc"])
	require.JSONEq(t, anaGives, string(s.transactions()["don-1"].Body))

	id := strconv.FormatInt(int64(gift["id"].(float64)), 10)
	require.Equal(t, gift, s.virtuous(http.MethodGet, "/Gift/"+id, "").json(t))
	contact := s.virtuous(http.MethodGet, "/Contact/AcmeGive/donor-310", "").json(t)
	require.Equal(t, contact, s.virtuous(http.MethodGet, fmt.Sprintf("/Contact/%d", int64(gift["contactId"].(float64))), "").json(t))
	require.Equal(t, "Ruiz, Ana", contact["name"])
	require.Equal(t, "$125", contact["lifeToDateGiving"])
	require.Equal(t, contact, s.virtuous(http.MethodGet, "/Contact/Find?email=Ana.Ruiz@example.org", "").json(t))
}

func TestMidnightsThatTheClockJumpsOverHappenInOrderEachAtItsTime(t *testing.T) {
	t.Parallel()
	s := newGivingFixture(t, `{"zone":"Pacific/Auckland","runAfterMinutes":540}`)
	s.submit(anaGives)
	s.advance(90 * time.Hour)
	_, gift := s.lookup("don-1")
	// It is 01:00 of 21 November in Auckland; the next midnight is 11:00 UTC, and staff import at 9 in the morning.
	require.True(t, strings.HasPrefix(gift["createDateTimeUtc"].(string), "2026-11-21T20:00:0"), gift["createDateTimeUtc"])
}

func TestDayWithoutAMidnightBeginsAtOne(t *testing.T) {
	t.Parallel()
	s := newGivingFixture(t, `{"zone":"America/Santiago"}`)
	s.clock.Advance(time.Date(2027, 9, 5, 3, 30, 0, 0, time.UTC).Sub(s.clock.Now())) // 23:30; half an hour later it is 01:00
	s.submit(anaGives)
	status, _ := s.lookup("don-1")
	require.Equal(t, http.StatusNotFound, status)
	s.advance(29 * time.Minute)
	require.Equal(t, "held", s.transactions()["don-1"].State)
	s.advance(time.Minute)
	require.Equal(t, "imported", s.transactions()["don-1"].State)
}

func TestRepeatedTransactionIsRefusedWithTheKnownText(t *testing.T) {
	t.Parallel()
	s := newGivingFixture(t, "")
	s.submit(anaGives)
	repeat := func() reply {
		return s.virtuous(http.MethodPost, "/v2/Gift/Transaction", strings.Replace(anaGives, "AcmeGive", "ACMEGIVE", 1))
	}
	got := repeat()
	require.Equal(t, http.StatusBadRequest, got.status)
	require.JSONEq(t, `{"message":"The request is invalid.","modelState":{"transaction":["Gift Transaction already exists."]}}`, got.body)

	s.advance(24 * time.Hour)
	require.Equal(t, http.StatusBadRequest, repeat().status, "a gift is a repetition, too")
	s.giving(http.MethodPut, "/settings", `{"repeatShape":"text","repeatStatus":409}`, http.StatusOK)
	got = repeat()
	require.Equal(t, http.StatusConflict, got.status)
	require.Equal(t, "Gift Transaction already exists.", got.body)
	require.Equal(t, 3, s.transactions()["don-1"].Repeats)
	require.Len(t, s.transactions(), 1)
	s.submit(strings.Replace(anaGives, "AcmeGive", "OtherGive", 1)) // the same id of another source is another transaction
}

func TestManualImportWaitsForTheStaff(t *testing.T) {
	t.Parallel()
	s := newGivingFixture(t, `{"imports":"manual"}`)
	s.submit(anaGives)
	s.advance(90 * time.Hour)
	require.Equal(t, "bundled", s.transactions()["don-1"].State)
	status, _ := s.lookup("don-1")
	require.Equal(t, http.StatusNotFound, status)
	imports := dump[struct{ ID, Transactions int }](s, "/virtuous/orgs/acme/imports")
	require.Len(t, imports, 1)
	require.Equal(t, 1, imports[0].Transactions)

	s.giving(http.MethodPost, "/imports:run", `{"id":7}`, http.StatusNotFound)
	s.giving(http.MethodPost, "/imports:run", fmt.Sprintf(`{"id":%d}`, imports[0].ID), http.StatusOK)
	status, _ = s.lookup("don-1")
	require.Equal(t, http.StatusOK, status)
	s.submit(gives("don-2", "10.50", "bo"))
	s.giving(http.MethodPost, "/imports:run", `{"bundle":true}`, http.StatusOK)
	require.Equal(t, "imported", s.transactions()["don-2"].State, "bundle acts as midnight")
}

func TestShareOfTransactionsNeedsAPersonAndTheSeedChoosesWhich(t *testing.T) {
	t.Parallel()
	set := func(order int) map[string]string {
		s := newGivingFixture(t, `{"needsUpdatePercent":30}`)
		for i := range 100 {
			number := i
			if order < 0 {
				number = 99 - i
			}
			s.submit(gives(fmt.Sprintf("don-%d", number), "10.00", strconv.Itoa(number)))
		}
		s.advance(24 * time.Hour)
		states := map[string]string{}
		for id, line := range s.transactions() {
			states[id] = line.State
		}
		return states
	}
	states := set(1)
	require.Equal(t, states, set(-1), "the order of the requests does not matter")
	count := 0
	for _, state := range states {
		if state == "needs_update" {
			count++
		}
	}
	require.InDelta(t, 30, count, 15)
}

func TestStaffResolveCreateAndDiscard(t *testing.T) {
	t.Parallel()
	s := newGivingFixture(t, `{"needsUpdatePercent":100}`)
	for i := range 5 {
		s.submit(gives(fmt.Sprintf("don-%d", i), "10.00", "bo"))
	}
	s.advance(24 * time.Hour)
	require.Equal(t, "needs_update", s.transactions()["don-0"].State)
	require.Equal(t, "match_needed", s.transactions()["don-0"].Reason)

	s.giving(http.MethodPost, "/transactions:create", `{"ids":["don-0"]}`, http.StatusOK)
	s.giving(http.MethodPost, "/transactions:resolve", `{"source":"acmegive","ids":["don-1"],"gift":{"amount":12.5,"giftType":"Check"}}`, http.StatusOK)
	s.giving(http.MethodPost, "/transactions:create", `{"ids":["don-2"]}`, http.StatusOK)
	s.giving(http.MethodPost, "/transactions:discard", `{"ids":["don-3"]}`, http.StatusOK)
	contacts := map[string]any{}
	for _, id := range []string{"don-0", "don-1", "don-2"} {
		_, gift := s.lookup(id)
		contacts[id] = gift["contactId"]
		if id == "don-1" {
			require.Equal(t, "$12.50", gift["amountFormatted"])
			require.Equal(t, "Check", gift["giftType"])
			require.InDelta(t, 12.5, gift["giftDesignations"].([]any)[0].(map[string]any)["amountDesignated"], 0)
		}
	}
	require.Equal(t, contacts["don-0"], contacts["don-1"], "the person matches")
	require.NotEqual(t, contacts["don-0"], contacts["don-2"])
	require.Equal(t, "discarded", s.transactions()["don-3"].State)
	status, _ := s.lookup("don-3")
	require.Equal(t, http.StatusNotFound, status)

	// One that is a gift already stops all of the request.
	s.giving(http.MethodPost, "/transactions:discard", `{"ids":["don-4","don-0"]}`, http.StatusNotFound)
	require.Equal(t, "needs_update", s.transactions()["don-4"].State)
	repeat := func() int {
		return s.virtuous(http.MethodPost, "/v2/Gift/Transaction", gives("don-3", "10.00", "bo")).status
	}
	require.Equal(t, http.StatusBadRequest, repeat())
	s.giving(http.MethodPut, "/settings", `{"resubmitDiscarded":true}`, http.StatusOK)
	require.Equal(t, http.StatusOK, repeat())
	require.Equal(t, "held", s.transactions()["don-3"].State)
}

func TestInvalidTransactionIsRefusedByField(t *testing.T) {
	t.Parallel()
	s := newGivingFixture(t, "")
	for field, change := range map[string][2]string{
		"transaction.transactionId":                    {`"don-1"`, `null`},
		"transaction.transactionSource":                {`"AcmeGive"`, `""`},
		"transaction.amount":                           {`"amount":"125.00"`, `"amount":"12,x"`},
		"transaction.giftDate":                         {`"2026-11-20"`, `"2026-13-20"`},
		"transaction.giftType":                         {`"Cash"`, `"Barter"`},
		"transaction.designations":                     {`"amountDesignated":"125.00"`, `"amountDesignated":"124.99"`},
		"transaction.designations[0].code":             {`"CLEAN-WATER"`, `"OLD-BARN"`},
		"transaction.designations[0].amountDesignated": {`"amountDesignated":"125.00"`, `"amountDesignated":""`},
		"transaction.contact":                          {`"contact":{`, `"donor":{`},
	} {
		got := s.virtuous(http.MethodPost, "/v2/Gift/Transaction", strings.Replace(anaGives, change[0], change[1], 1))
		require.Equal(t, http.StatusBadRequest, got.status, field)
		require.Contains(t, got.json(t)["modelState"], field)
	}
	require.Equal(t, http.StatusBadRequest, s.virtuous(http.MethodPost, "/v2/Gift/Transaction", `{"transactionId":`).status)
	require.Empty(t, s.transactions())

	s.giving(http.MethodPut, "/settings", `{"unknownProject":"needs_update"}`, http.StatusOK)
	s.submit(strings.Replace(anaGives, "CLEAN-WATER", "OLD-BARN", 1))
	s.advance(24 * time.Hour)
	require.Equal(t, "project", s.transactions()["don-1"].Reason)
}

func TestNamesOfATransactionMayHaveAnyLetterCaseAndValuesAnyForm(t *testing.T) {
	t.Parallel()
	s := newGivingFixture(t, "")
	s.submit(`{"TransactionSource":"AcmeGive","transactionID":42,"contact":{"name":"Example Works","type":"Organization","firstName":"Bo","lastName":"Okafor"},
		"giftDate":"11.20.2026","giftType":"credit","amount":"$1,234.50","giftDesignations":[{"projectCode":"GENERAL","amountDesignated":1234.5}],
		"passthroughContact":{"name":"Example Fund","type":"Organization"},"customFields":{"UTM Campaign":"spring","Level":3}}`)
	s.advance(24 * time.Hour)
	_, gift := s.lookup("42")
	require.Equal(t, "$1,234.50", gift["amountFormatted"])
	require.Equal(t, "USD", gift["currencyCode"], "the base currency")
	require.Equal(t, "GENERAL", gift["giftDesignations"].([]any)[0].(map[string]any)["projectCode"])
	require.NotNil(t, gift["contactPassthroughId"])
	require.Len(t, gift["customFields"], 2)

	// An organisation that reads the other list drops the designations without a word.
	s.giving(http.MethodPut, "/settings", `{"designationsField":"giftDesignations"}`, http.StatusOK)
	s.submit(anaGives)
	s.advance(24 * time.Hour)
	_, gift = s.lookup("don-1")
	require.Empty(t, gift["giftDesignations"])
}

func TestBatchIsAcceptedAsAWholeOrEachByItself(t *testing.T) {
	t.Parallel()
	s := newGivingFixture(t, "")
	batch := func(extra string, transactions ...string) reply {
		return s.virtuous(http.MethodPost, "/v2/Gift/Transactions",
			`{"transactionSource":"AcmeGive","transactions":[`+strings.Join(transactions, ",")+`],"defaultGiftType":"Check"`+extra+`}`)
	}
	plain := func(id string) string { return strings.Replace(gives(id, "10.00", id), `"giftType":"Cash",`, "", 1) }
	require.Equal(t, http.StatusOK, batch("", plain("a"), plain("b")).status)
	require.Contains(t, batch("", plain("c"), plain("a")).body, "Gift Transaction already exists.")
	require.Contains(t, batch("", plain("c"), strings.Replace(plain("d"), "2026-11-20", "", 1)).body, "transactions[1].giftDate")
	require.Len(t, s.transactions(), 2)

	s.giving(http.MethodPut, "/settings", `{"batches":"each"}`, http.StatusOK)
	require.Equal(t, http.StatusBadRequest, batch("", plain("c"), plain("a")).status)
	require.Len(t, s.transactions(), 3)
	require.Equal(t, http.StatusOK, batch(`,"createImport":"true"`, plain("d")).status)
	status, gift := s.lookup("d")
	require.Equal(t, http.StatusOK, status, "an import of its own does not wait for midnight")
	require.Equal(t, "Check", gift["giftType"])

	many := make([]string, 3_000)
	for i := range many {
		many[i] = plain(fmt.Sprintf("many-%d", i))
	}
	require.Equal(t, http.StatusOK, batch("", many...).status)
	require.Len(t, s.transactions(), 3_004)
}

func TestHeldTransactionMayBeShownByTheLookupAndANewGiftMayBeLate(t *testing.T) {
	t.Parallel()
	s := newGivingFixture(t, `{"heldLookup":"transaction","indexSeconds":30}`)
	s.submit(anaGives)
	status, held := s.lookup("don-1")
	require.Equal(t, http.StatusOK, status)
	require.NotContains(t, held, "id")
	require.Equal(t, "don-1", held["transactionId"])
	s.giving(http.MethodPut, "/settings", `{"heldLookup":"not_found"}`, http.StatusOK)
	s.advance(19*time.Hour + 29*time.Second)
	status, _ = s.lookup("don-1")
	require.Equal(t, http.StatusNotFound, status)
	s.advance(2 * time.Second)
	status, _ = s.lookup("don-1")
	require.Equal(t, http.StatusOK, status)
}

func TestSourceAndIDOfALookupArePercentEncoded(t *testing.T) {
	t.Parallel()
	s := newGivingFixture(t, "")
	s.submit(strings.NewReplacer("AcmeGive", "Acme Give/EU", "don-1", "a/b ?#%").Replace(anaGives))
	s.giving(http.MethodPost, "/imports:run", `{"bundle":true}`, http.StatusOK)
	require.Equal(t, http.StatusOK, s.virtuous(http.MethodGet, "/Gift/Acme%20Give%2FEU/a%2Fb%20%3F%23%25", "").status)
	require.Equal(t, http.StatusNotFound, s.virtuous(http.MethodGet, "/Gift/Acme+Give%2FEU/a%2Fb%20%3F%23%25", "").status)
}
