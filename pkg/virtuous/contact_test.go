package virtuous

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestRecordedContactIsRead(t *testing.T) {
	t.Parallel()
	contact, err := ParseContact(payload(t, "recorded/contact.json"))
	require.NoError(t, err)
	require.True(t, contact.IsComplete(), contact.Missing)
	require.Equal(t, "Example Org", contact.Name)
	require.Equal(t, "12 Elm Row", contact.Address.Address1)
	require.Equal(t, "dana.reed@example.org", contact.Email())
	require.Empty(t, contact.Phone())
	require.Equal(t, "Dana", contact.Primary().FirstName)
	require.Equal(t, time.Date(2023, 11, 30, 14, 20, 56, 353_000_000, time.UTC), contact.ModifiedAt)
	require.Zero(t, contact.MergedIntoID)
}

func TestContactOfWebhookHasAddressesReferencesAndNoMethods(t *testing.T) {
	t.Parallel()
	contact, err := ParseContact(payloadAt(t, "webhooks/observed_contact_create_bulk.json", "models.0.contact"))
	require.NoError(t, err)
	require.True(t, contact.IsComplete(), contact.Missing)
	require.Equal(t, Address{Address1: "9 Elm Row", City: "Mesa", State: "AZ", Postal: "85201", Country: "US"}, contact.Address)
	require.Equal(t, []ContactReference{{"AcmeGive", "donor-310"}}, contact.References)
	require.Equal(t, "Ana.Ruiz@example.org", contact.Email())
	require.Equal(t, "+1 (555) 010-0199 ext 4", contact.Phone())
	require.Equal(t, []string{"Online Donor"}, contact.Tags)

	organization, err := ParseContact(payloadAt(t, "webhooks/observed_contact_create_bulk.json", "models.1.contact"))
	require.NoError(t, err)
	require.Empty(t, organization.Email(), "contactMethods is null")
	require.Equal(t, Address{}, organization.Address)
}

func TestMergedContactNamesItsSurvivor(t *testing.T) {
	t.Parallel()
	merged, err := ParseContact(payloadAt(t, "webhooks/guide_contact_updated_merged.json", "data"))
	require.NoError(t, err)
	require.EqualValues(t, 5130, merged.MergedIntoID)

	odd, err := ParseContact([]byte(`{"id":1,"mergedIntoContactId":"none"}`))
	require.NoError(t, err)
	require.Contains(t, odd.Missing, "mergedIntoContactId", "it is not known whether the contact was merged")
}

func TestPrimaryMethodIsPreferredToTheFirst(t *testing.T) {
	t.Parallel()
	contact, err := ParseContact([]byte(`{"id":1,"contactIndividuals":[{"firstName":"First"},{"firstName":"Second","isPrimary":true,"contactMethods":[
		{"type":"Work Email","value":"w@example.org"},{"type":"Mobile Phone","value":""},{"type":"Home EMAIL",
			"value":"h@example.org","isPrimary":true},{"type":"Home Phone","value":"1"}]}]}`))
	require.NoError(t, err)
	require.Equal(t, "h@example.org", contact.Email())
	require.Equal(t, "1", contact.Phone())
	require.Empty(t, Contact{}.Email())
}

func TestPrimaryAddressIsPreferredToTheFirst(t *testing.T) {
	t.Parallel()
	contact, err := ParseContact([]byte(`{"id":1,"contactAddresses":[{"address1":"a"},{"address1":"b","isPrimary":true,
		"stateCode":"AZ","countryCode":"US"},{"address1":"c","isPrimary":true}]}`))
	require.NoError(t, err)
	require.Equal(t, Address{Address1: "b", State: "AZ", Country: "US"}, contact.Address)
}

func TestEachCanonicalFieldOfAContactCounts(t *testing.T) {
	t.Parallel()
	const raw = `{"id":1,"contactType":"Household","name":"N","isPrivate":false,"mergedIntoContactId":7,
		"address":{"address1":"A1","address2":"A2","city":"C","state":"S","postal":"P","country":"US"},
		"contactIndividuals":[{"firstName":"F","middleName":"M","lastName":"L","isPrimary":true,
			"contactMethods":[{"type":"Home Email","value":"E"},{"type":"Mobile Phone","value":"PH"}]}],
		"contactReferences":[{"source":"X","id":"1"},{"source":"Y","id":"2"}]}`
	contact, err := ParseContact([]byte(raw))
	require.NoError(t, err)
	changes := map[string]string{
		"contactType": "Household", "name": `"N"`, "firstName": `"F"`, "middleName": `"M"`, "lastName": `"L"`, "email": `"E"`,
		"phone": `"PH"`, "address1": `"A1"`,
		"address2": `"A2"`, "city": `"C"`, "state": `"S"`, "postal": `"P"`, "country": `"US"`, "isPrivate": "false",
		"mergedIntoContactId": "7", "contactReferences": `"2"`,
	}
	require.Len(t, changes, len(contact.Fields()))
	for name, old := range changes {
		replaced := map[string]string{"false": "true", "7": "8", "Household": "Organization"}[old]
		if replaced == "" {
			replaced = `"other"`
		}
		changed, err := ParseContact([]byte(strings.Replace(raw, old, replaced, 1)))
		require.NoError(t, err)
		require.Equal(t, []string{name}, differing(contact.Fields(), changed.Fields()))
	}
	shuffled := strings.Replace(raw, `{"source":"X","id":"1"},{"source":"Y","id":"2"}`, `{"source":"Y","id":2},
		{"source":"X","id":"1"},{"source":"X","id":"1"}`, 1)
	other, err := ParseContact([]byte(shuffled))
	require.NoError(t, err)
	require.Equal(t, contact.Fields(), other.Fields())
}

func TestRecordsArePrintedByTheirIDs(t *testing.T) {
	t.Parallel()
	contact, err := ParseContact(payload(t, "recorded/contact.json"))
	require.NoError(t, err)
	gift, err := ParseGift(payload(t, "recorded/gift.json"))
	require.NoError(t, err)
	require.Equal(t, "contact 1 contact 1 contact 1", fmt.Sprintf("%v %+v %#v", contact, contact, contact))
	require.Equal(t, "gift 1 gift 1 gift 1", fmt.Sprintf("%v %+v %#v", gift, &gift, gift))
}
