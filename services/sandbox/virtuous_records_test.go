package main

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestEachChangeOfAGiftHasALaterTimeAlsoInOneInstant(t *testing.T) {
	t.Parallel()
	for _, precision := range []string{"mixed", "whole", "hundredths", "milliseconds", "ticks", "zulu"} {
		s := newGivingFixture(t, `{"times":"`+precision+`"}`)
		s.giving(http.MethodPost, "/gifts", "", http.StatusCreated)
		before := time.Time{}
		for i := range 20 {
			s.giving(http.MethodPut, "/gifts/88101", fmt.Sprintf(`{"amount":%d}`, i+1), http.StatusOK)
			text := s.virtuous(http.MethodGet, "/Gift/88101", "").json(t)["modifiedDateTimeUtc"].(string)
			require.Equal(t, precision == "zulu", strings.HasSuffix(text, "Z"), text)
			at, err := time.Parse("2006-01-02T15:04:05.9999999", strings.TrimSuffix(text, "Z"))
			require.NoError(t, err)
			require.Greater(t, at.Sub(before), 9*time.Millisecond, "%s: %s after %s", precision, at, before)
			before = at
		}
		require.Less(t, before, time.Date(2026, 11, 20, 12, 0, 30, 0, time.UTC))
	}
}

func TestTimesHaveNoneTwoThreeOrSevenDigitsAndPlacesRoundDifferently(t *testing.T) {
	t.Parallel()
	s := newGivingFixture(t, "")
	digits := map[int]bool{}
	rounded := 0
	for i := range 60 {
		s.clock.Advance(1234567 * time.Microsecond)
		s.giving(http.MethodPost, "/gifts", "", http.StatusCreated)
		single := s.virtuous(http.MethodGet, fmt.Sprintf("/Gift/%d", 88101+i), "").json(t)["modifiedDateTimeUtc"].(string)
		list := s.virtuous(http.MethodPost, "/Gift/Query/FullGift?take=1", where(is("Gift Id", "Is", strconv.Itoa(88101+i)))).
			json(t)["list"].([]any)[0].(map[string]any)["modifiedDateTimeUtc"].(string)
		for _, text := range []string{single, list} {
			_, fraction, _ := strings.Cut(text, ".")
			digits[len(fraction)] = true
		}
		if single != list {
			rounded++
			one, err := time.Parse("2006-01-02T15:04:05.9999999", single)
			require.NoError(t, err)
			other, err := time.Parse("2006-01-02T15:04:05.9999999", list)
			require.NoError(t, err)
			require.Less(t, one.Sub(other).Abs(), 10*time.Millisecond)
		}
	}
	for _, wanted := range []int{0, 2, 3, 7} {
		require.True(t, digits[wanted], "%d of %v", wanted, digits)
	}
	require.Positive(t, rounded)
}

func TestReversalIsAGiftOfItsOwn(t *testing.T) {
	t.Parallel()
	s := newGivingFixture(t, "")
	s.submit(anaGives)
	s.advance(24 * time.Hour)
	s.giving(http.MethodPost, "/gifts/88101/reverse", `{"notes":"Refund of don-1"}`, http.StatusCreated)
	reversal := s.virtuous(http.MethodGet, "/Gift/88102", "").json(t)
	require.Equal(t, "ReversingTransaction", reversal["giftType"])
	require.Equal(t, "Reversing Transaction", reversal["giftTypeFormatted"])
	require.Equal(t, "($125.00)", reversal["amountFormatted"])
	require.InDelta(t, -125, reversal["amount"], 0)
	require.Nil(t, reversal["transactionId"])
	require.Equal(t, "Clean Water: $-125.00", reversal["giftDesignations"].([]any)[0].(map[string]any)["display"])
	require.Equal(t, "reversed", s.transactions()["don-1"].GiftState)
	require.Equal(t, "$0", s.virtuous(http.MethodGet, "/Contact/5120", "").json(t)["lifeToDateGiving"])
	s.giving(http.MethodPost, "/gifts/88101/reverse", "", http.StatusConflict)
	s.giving(http.MethodPost, "/gifts/88199/reverse", "", http.StatusNotFound)
}

func TestDeletedGiftIsNotFoundUntilItIsRestored(t *testing.T) {
	t.Parallel()
	s := newGivingFixture(t, "")
	s.submit(anaGives)
	s.advance(24 * time.Hour)
	s.giving(http.MethodDelete, "/gifts/88101", "", http.StatusNoContent)
	status, _ := s.lookup("don-1")
	require.Equal(t, http.StatusNotFound, status)
	require.Equal(t, http.StatusNotFound, s.virtuous(http.MethodGet, "/Gift/88101", "").status)
	_, total := s.query("/Gift/Query/FullGift", `{"groups":[]}`)
	require.Zero(t, total)
	require.Equal(t, "deleted", s.transactions()["don-1"].GiftState)
	require.Equal(t, http.StatusBadRequest, s.virtuous(http.MethodPost, "/v2/Gift/Transaction", anaGives).status, "it existed")
	s.giving(http.MethodPut, "/gifts/88101", `{"amount":1}`, http.StatusNotFound)
	s.giving(http.MethodDelete, "/gifts/88101", "", http.StatusNotFound)

	s.giving(http.MethodPost, "/gifts/88101/restore", "", http.StatusOK)
	status, _ = s.lookup("don-1")
	require.Equal(t, http.StatusOK, status)
	s.giving(http.MethodPost, "/gifts/88101/restore", "", http.StatusNotFound)
}

func TestGiftThatIsEnteredAgainTakesTheReferenceOver(t *testing.T) {
	t.Parallel()
	s := newGivingFixture(t, "")
	s.submit(anaGives)
	s.advance(24 * time.Hour)
	s.giving(http.MethodPost, "/contacts", "", http.StatusCreated)
	s.giving(http.MethodDelete, "/gifts/88101", "", http.StatusNoContent)
	s.giving(http.MethodPost, "/gifts", `{"contactId":5121,"transactionSource":"AcmeGive","transactionId":"don-1"}`, http.StatusCreated)
	_, gift := s.lookup("don-1")
	require.InDelta(t, 88102, gift["id"], 0)
	s.giving(http.MethodPut, "/gifts/88102", `{"transactionId":"don-9"}`, http.StatusOK)
	status, _ := s.lookup("don-1")
	require.Equal(t, http.StatusNotFound, status)
	_, gift = s.lookup("don-9")
	require.InDelta(t, 88102, gift["id"], 0)
}

func TestMergeMovesReferencesAndGiftsAndLaterGiftsFollowTheChain(t *testing.T) {
	t.Parallel()
	s := newGivingFixture(t, "")
	for _, donor := range []string{"a", "b", "c"} {
		s.submit(gives("don-"+donor, "10.00", donor))
	}
	s.advance(24 * time.Hour)
	contact := func(path string) map[string]any { return s.virtuous(http.MethodGet, "/Contact/"+path, "").json(t) }
	modified := s.virtuous(http.MethodGet, "/Gift/88101", "").json(t)["modifiedDateTimeUtc"]
	s.giving(http.MethodPost, "/contacts:merge", `{"loser":5120,"survivor":5121}`, http.StatusNoContent)
	s.giving(http.MethodPost, "/contacts:merge", `{"loser":5121,"survivor":5122,"giftUpdates":true}`, http.StatusNoContent)
	require.InDelta(t, 5121, contact("5120")["mergedIntoContactId"], 0)
	require.InDelta(t, 5122, contact("AcmeGive/donor-a")["id"], 0)
	require.Len(t, contact("5122")["contactReferences"], 3)
	require.Equal(t, "$30", contact("5122")["lifeToDateGiving"])
	ids, _ := s.query("/Contact/Query", `{"groups":[]}`)
	require.Equal(t, []int{5122}, ids)
	first := s.virtuous(http.MethodGet, "/Gift/88101", "").json(t)
	require.InDelta(t, 5122, first["contactId"], 0)
	require.NotEqual(t, modified, first["modifiedDateTimeUtc"], "the second merge made updates of the moved gifts")

	s.submit(strings.Replace(gives("don-d", "5.00", "a"), "donor-a", "donor-new", 1)) // by the email address of the first one
	s.advance(24 * time.Hour)
	_, gift := s.lookup("don-d")
	require.InDelta(t, 5122, gift["contactId"], 0)

	s.giving(http.MethodPost, "/contacts:merge", `{"loser":5122,"survivor":5122}`, http.StatusUnprocessableEntity)
	s.giving(http.MethodPost, "/contacts:merge", `{"loser":5122,"survivor":9}`, http.StatusNotFound)
	s.giving(http.MethodPut, "/contacts/5122", `{"mergedIntoContactId":5120}`, http.StatusOK) // a circle
	s.submit(gives("don-e", "5.00", "b"))
	s.advance(24 * time.Hour)
	status, _ := s.lookup("don-e")
	require.Equal(t, http.StatusOK, status)
}

func TestImportMatchesByReferenceEmailPhoneAndAddressAndAddsTheReference(t *testing.T) {
	t.Parallel()
	s := newGivingFixture(t, "")
	s.submit(anaGives)
	s.advance(24 * time.Hour)
	for i, change := range [][]string{
		{`"email":"ana.ruiz@example.org","phone":"555-0100"`, `"phone":"(555) 0100"`, "donor-310", "donor-2"},
		{"donor-310", "donor-3", "ana.ruiz@", "ANA.RUIZ@", "555-0100", ""},
		{"donor-310", "donor-4", "ana.ruiz@", "other@", "555-0100", ""},
		{"9 Elm St", "1 Oak St", "ana.ruiz@", "changed@", "555-0100", ""},
	} {
		id := fmt.Sprintf("again-%d", i)
		s.submit(strings.Replace(strings.NewReplacer(change...).Replace(anaGives), "don-1", id, 1))
		s.advance(24 * time.Hour)
		_, gift := s.lookup(id)
		require.InDelta(t, 5120, gift["contactId"], 0, id)
	}
	require.Len(t, s.virtuous(http.MethodGet, "/Contact/5120", "").json(t)["contactReferences"], 4)
}

func TestContactsAreAddedAndEditedByHand(t *testing.T) {
	t.Parallel()
	s := newGivingFixture(t, "")
	s.giving(http.MethodPost, "/contacts", `{"firstName":"Bo","lastName":"Okafor","email":"bo@example.org",
		"source":"AcmeGive","referenceId":"d-9"}`, http.StatusCreated)
	s.giving(http.MethodPut, "/contacts/5120", `{"email":"","phone":"555-0199","tags":["Board"],"lastName":"Okafor-Lee"}`, http.StatusOK)
	contact := s.virtuous(http.MethodGet, "/Contact/AcmeGive/d-9", "").json(t)
	person := contact["contactIndividuals"].([]any)[0].(map[string]any)
	require.Equal(t, "Okafor-Lee", person["lastName"])
	require.Len(t, person["contactMethods"], 1)
	require.Nil(t, contact["address"])
	require.Equal(t, "Unavailable", contact["lastGiftDate"])
	s.giving(http.MethodPut, "/contacts/5120", `{"phone":""}`, http.StatusOK)
	person = s.virtuous(http.MethodGet, "/Contact/5120", "").json(t)["contactIndividuals"].([]any)[0].(map[string]any)
	require.Nil(t, person["contactMethods"])
	s.giving(http.MethodPut, "/contacts/9", `{}`, http.StatusNotFound)
	s.giving(http.MethodPut, "/contacts/5120", `{"modifiedAt":"2026-01-02T03:04:05.1234567Z"}`, http.StatusOK)
	require.Equal(t, "2026-01-02T03:04:05.123", s.virtuous(http.MethodGet, "/Contact/5120", "").json(t)["modifiedDateTimeUtc"])
}
