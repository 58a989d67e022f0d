package main

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// contactOf returns a contact's transaction.
func contactOf(reference, email string) string {
	return fmt.Sprintf(`{"referenceSource":"AcmeGive","referenceId":%q,"contactType":"Household","firstName":"Ana","lastName":"Ruiz","email":%q}`,
		reference, email)
}

// submitContact submits a contact's transaction, and returns the status.
func (s *fixture) submitContact(body string) reply {
	s.t.Helper()
	return s.virtuous(http.MethodPost, "/Contact/Transaction", body)
}

func TestContactOfATransactionIsAddedOrMatchedAfterMidnight(t *testing.T) {
	t.Parallel()
	s := newGivingFixture(t, `{"webhooks":{"manual":true}}`)
	s.giving(http.MethodPost, "/contacts", `{"firstName":"Anna","lastName":"Ruiz","email":"ana@example.org"}`, http.StatusCreated)
	s.virtuous(http.MethodPost, "/Webhook", `{"payloadUrl":"http://127.0.0.1:1/","secret":"s","active":true,"contactCreate":true,"contactUpdate":true}`)
	for reference, email := range map[string]string{"matched": "ana@example.org", "created": "other@example.org"} {
		got := s.submitContact(contactOf(reference, email))
		require.Equal(t, http.StatusOK, got.status, got.body)
		require.Empty(t, got.body)
		require.Equal(t, http.StatusNotFound, s.virtuous(http.MethodGet, "/Contact/acmegive/"+reference, "").status, "it is held")
	}
	s.advance(24 * time.Hour)
	ids := map[string]any{}
	for _, reference := range []string{"matched", "created"} {
		got := s.virtuous(http.MethodGet, "/Contact/acmegive/"+reference, "")
		require.Equal(t, http.StatusOK, got.status)
		ids[reference] = got.json(t)["id"]
	}
	require.NotEqual(t, ids["matched"], ids["created"])
	ledger := s.giving(http.MethodGet, "/ledger", "", http.StatusOK)
	require.Equal(t, map[string]any{
		"accepted": 2.0, "held": 0.0, "bundled": 0.0, "needsUpdate": 0.0, "imported": 2.0, "discarded": 0.0, "repeats": 0.0,
	}, ledger["contactTransactions"])
	require.Equal(t, map[string]any{"all": 2.0, "archived": 0.0, "merged": 0.0}, ledger["contacts"], "the matched one was there")
	var events []string
	for _, one := range dump[struct{ Event string }](s, "/virtuous/orgs/acme/events") {
		events = append(events, one.Event)
	}
	require.ElementsMatch(t, []string{"ContactCreate", "ContactUpdate"}, events)
}

func TestRepeatedContactTransactionIsRefusedUnlessItWasDiscarded(t *testing.T) {
	t.Parallel()
	s := newGivingFixture(t, `{"imports":"manual","resubmitDiscarded":true,"heldLookup":"transaction"}`)
	require.Equal(t, http.StatusOK, s.submitContact(contactOf("donor-1", "ana@example.org")).status)
	got := s.submitContact(contactOf("donor-1", "ana@example.org"))
	require.Equal(t, http.StatusBadRequest, got.status)
	require.Contains(t, got.body, "Contact Transaction already exists.")
	held := s.virtuous(http.MethodGet, "/Contact/AcmeGive/donor-1", "")
	require.Equal(t, http.StatusOK, held.status)
	require.NotContains(t, held.json(t), "id")
	s.submit(gives("donor-1", "10.00", "x")) // a gift may have the same source and id
	s.giving(http.MethodPost, "/transactions:discard", `{"ids":["donor-1"]}`, http.StatusOK)
	require.Equal(t, http.StatusNotFound, s.virtuous(http.MethodGet, "/Contact/AcmeGive/donor-1", "").status)
	require.Equal(t, http.StatusOK, s.submitContact(contactOf("donor-1", "ana@example.org")).status)
	require.Equal(t, http.StatusBadRequest, s.submitContact(`{"referenceSource":"AcmeGive","firstName":"Ana"}`).status)
}
