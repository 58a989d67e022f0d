package main

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/virtuous"
)

// whole returns a contact's record as Virtuous shows it, without the times and users of changes.
func whole(t *testing.T, contact virtuous.Contact) map[string]any {
	t.Helper()
	var record map[string]any
	require.NoError(t, json.Unmarshal(contact.Raw, &record))
	forgetChanges(record)
	return record
}

func forgetChanges(value any) {
	switch value := value.(type) {
	case map[string]any:
		for name, entry := range value {
			if strings.HasPrefix(name, "modified") || strings.HasPrefix(name, "createDateTime") {
				delete(value, name)
			}
			forgetChanges(entry)
		}
	case []any:
		for _, entry := range value {
			forgetChanges(entry)
		}
	}
}

// partsOf returns the primary person, the first method of a kind and the address of a record.
func partsOf(record map[string]any) (person map[string]any, methods []any, address map[string]any) {
	person, _ = record["contactIndividuals"].([]any)[0].(map[string]any)
	methods, _ = person["contactMethods"].([]any)
	address, _ = record["address"].(map[string]any)
	return person, methods, address
}

// A write replaces a part as a whole, so that what it leaves out is gone: the client sends all that it read, under the names that writes have.
func TestAWrittenContactKeepsEveryOtherField(t *testing.T) {
	t.Parallel()
	s := newGivingFixture(t, "")
	client := s.virtuousClient(t, nil)
	s.giving(http.MethodPost, "/contacts", `{"firstName":"Bo","lastName":"Okafor","email":"bo@example.org","phone":"555-010-0199",
		"address1":"9 Elm St","address2":"Apt 2","city":"Mesa","state":"AZ","postal":"85201","country":"US","referenceId":"d-9","tags":"Board"}`, http.StatusCreated)
	s.giving(http.MethodPut, "/contacts/5120", `{"middleName":"K.","gender":"Male"}`, http.StatusOK)
	read := func() virtuous.Contact {
		contact, err := client.Contact(t.Context(), 5120)
		require.NoError(t, err)
		return contact
	}
	before := whole(t, read())
	write := func(change virtuous.ContactWrite, err error) virtuous.Contact {
		require.NoError(t, err)
		require.NoError(t, client.WriteContact(t.Context(), change))
		return read()
	}
	after := write(read().WriteEmail("bo.okafor@example.org"))
	require.Equal(t, "bo.okafor@example.org", after.Email())
	after = write(after.WritePhone("(555) 010 0111"))
	require.Equal(t, "555-010-0111", after.Phone(), "numbers have one form there")
	after = write(after.WriteName("Boris", "Okafor-Lee"))
	require.Equal(t, "Okafor-Lee, Boris", after.Name)
	after = write(after.WriteAddress(virtuous.Address{Address1: "10 Oak Ave", City: "Tempe", State: "AZ", Postal: "85281", Country: "US"}))
	require.Equal(t, "10 Oak Ave", after.Address.Address1)

	want := before
	person, methods, address := partsOf(want)
	methods[0].(map[string]any)["value"], methods[1].(map[string]any)["value"] = "bo.okafor@example.org", "555-010-0111"
	person["firstName"], person["lastName"] = "Boris", "Okafor-Lee"
	for _, name := range []string{"name", "formalContactName", "preferredAddresseeName"} {
		want[name] = "Okafor-Lee, Boris"
	}
	want["informalName"], want["preferredSalutationName"] = "Boris", "Boris"
	address["address1"], address["address2"], address["city"], address["postal"] = "10 Oak Ave", nil, "Tempe", "85281"
	require.Equal(t, want, whole(t, after))
	require.Equal(t, "K.", person["middleName"])
}

func TestAMissingPartIsAdded(t *testing.T) {
	t.Parallel()
	s := newGivingFixture(t, "")
	client := s.virtuousClient(t, nil)
	s.giving(http.MethodPost, "/contacts", `{"firstName":"Bo","lastName":"Okafor"}`, http.StatusCreated)
	contact, err := client.Contact(t.Context(), 5120)
	require.NoError(t, err)
	for _, change := range []func() (virtuous.ContactWrite, error){
		func() (virtuous.ContactWrite, error) { return contact.WriteEmail("bo@example.org") },
		func() (virtuous.ContactWrite, error) { return contact.WritePhone("5550100111") },
		func() (virtuous.ContactWrite, error) {
			return contact.WriteAddress(virtuous.Address{Address1: "9 Elm St"})
		},
	} {
		write, err := change()
		require.NoError(t, err)
		require.NoError(t, client.WriteContact(t.Context(), write))
	}
	contact, err = client.Contact(t.Context(), 5120)
	require.NoError(t, err)
	require.Equal(t, "bo@example.org", contact.Email())
	require.Equal(t, "555-010-0111", contact.Phone())
	require.Equal(t, "9 Elm St", contact.Address.Address1)
}

func TestAnEmailThatAnotherContactHasIsADuplicateAndTheOtherIsFound(t *testing.T) {
	t.Parallel()
	s := newGivingFixture(t, "")
	client := s.virtuousClient(t, nil)
	s.giving(http.MethodPost, "/contacts", `{"firstName":"Bo","lastName":"Okafor","email":"bo@example.org"}`, http.StatusCreated)
	s.giving(http.MethodPost, "/contacts", `{"firstName":"Ana","lastName":"Ruiz","email":"ana@example.org"}`, http.StatusCreated)
	contact, err := client.Contact(t.Context(), 5121)
	require.NoError(t, err)
	write, err := contact.WriteEmail("Bo@Example.org")
	require.NoError(t, err)
	require.ErrorIs(t, client.WriteContact(t.Context(), write), virtuous.ErrDuplicate)
	for _, shape := range []string{"documented", "text", "model_state"} {
		s.giving(http.MethodPut, "/settings", `{"errors":"`+shape+`"}`, http.StatusOK)
		require.ErrorIs(t, client.WriteContact(t.Context(), write), virtuous.ErrDuplicate, shape)
	}
	other, err := client.ContactByEmail(t.Context(), "bo@example.org")
	require.NoError(t, err)
	require.EqualValues(t, 5120, other.ID)
	_, err = client.ContactByEmail(t.Context(), "none@example.org")
	require.ErrorIs(t, err, virtuous.ErrNotFound)
}
