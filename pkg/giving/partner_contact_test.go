package giving_test

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/giving"
)

// published is when the messages of contacts were published.
var published = time.Date(2026, time.November, 20, 12, 0, 0, 0, time.UTC)

// contactMessage returns a valid message with some fields replaced; nil leaves a field out.
func contactMessage(t testing.TB, changed map[string]any) []byte {
	t.Helper()
	fields := map[string]any{
		"customerId": "acme", "referenceId": "donor-310", "contactType": "Household", "title": "Dr.", "firstName": "Ana", "middleName": "Maria", "lastName": "Ruiz",
		"email": "ana.ruiz@example.org", "emailType": "Home Email", "phone": "555-0100", "phoneType": "Mobile Phone",
		"address":    map[string]any{"address1": "9 Elm St", "address2": "B", "city": "Mesa", "state": "AZ", "postal": "85201", "country": "US"},
		"modifiedAt": "2026-11-20T11:00:00Z",
	}
	maps.Copy(fields, changed)
	maps.DeleteFunc(fields, func(_ string, value any) bool { return value == nil })
	encoded, err := json.Marshal(fields)
	require.NoError(t, err)
	return encoded
}

func TestInvalidContactHasOneErrorForEachWrongField(t *testing.T) {
	t.Parallel()
	type fields = map[string]any
	long := strings.Repeat("x", 1025)
	for name, bad := range map[string]struct {
		change fields
		wrong  []string
	}{
		"no customer":                 {fields{"customerId": nil}, []string{"customerId"}},
		"another customer":            {fields{"customerId": "other"}, []string{"customerId"}},
		"no reference":                {fields{"referenceId": nil}, []string{"referenceId"}},
		"long reference":              {fields{"referenceId": strings.Repeat("ü", 129)}, []string{"referenceId"}},
		"reference with a slash":      {fields{"referenceId": "a/b"}, []string{"referenceId"}},
		"reference with a line break": {fields{"referenceId": "a\nb"}, []string{"referenceId"}},
		"reference of a dot":          {fields{"referenceId": "."}, []string{"referenceId"}},
		"reference with a space":      {fields{"referenceId": " donor-1"}, []string{"referenceId"}},
		"reference that is a number":  {fields{"referenceId": 310}, []string{"referenceId"}},
		"no name":                     {fields{"firstName": nil, "lastName": nil}, []string{"name"}},
		"a blank name":                {fields{"firstName": " ", "lastName": nil}, []string{"name"}},
		"name with a control":         {fields{"lastName": "Ru\niz"}, []string{"lastName"}},
		"long title":                  {fields{"title": long}, []string{"title"}},
		"long type":                   {fields{"contactType": long}, []string{"contactType"}},
		"email without a host":        {fields{"email": "ana"}, []string{"email"}},
		"email with a name":           {fields{"email": "Ana <ana@example.org>"}, []string{"email"}},
		"type of no email":            {fields{"email": nil}, []string{"emailType"}},
		"type of no phone":            {fields{"phone": nil}, []string{"phoneType"}},
		"long city":                   {fields{"address": fields{"city": long}}, []string{"address.city"}},
		"unknown field of an address": {fields{"address": fields{"zip": "85201"}}, []string{"address.zip"}},
		"address that is a text":      {fields{"address": "9 Elm St"}, []string{"address"}},
		"time without a zone":         {fields{"modifiedAt": "2026-11-20T11:00:00"}, []string{"modifiedAt"}},
		"a day":                       {fields{"modifiedAt": "2026-11-20"}, []string{"modifiedAt"}},
		"the year 1":                  {fields{"modifiedAt": "0001-01-01T00:00:00Z"}, []string{"modifiedAt"}},
		"a time far ahead":            {fields{"modifiedAt": "2026-11-20T13:00:01Z"}, []string{"modifiedAt"}},
		"unknown field":               {fields{"firstname": "Ana"}, []string{"firstname"}},
		"a field of the contact":      {fields{"virtuousFields": fields{"email": "x"}}, []string{"virtuousFields.email"}},
		"a field of a donation":       {fields{"virtuousFields": fields{"frequency": "Monthly"}}, []string{"virtuousFields.frequency"}},
		"NUL in a field of Virtuous":  {fields{"virtuousFields": fields{"tags": "a\x00b"}}, []string{"virtuousFields.tags"}},
		"several at once":             {fields{"referenceId": "a/b", "email": "x", "modifiedAt": "x"}, []string{"email", "modifiedAt", "referenceId"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, errs := giving.ParseContact(contactMessage(t, bad.change), "acme", published)
			require.Equal(t, bad.wrong, slices.Sorted(maps.Keys(errs)), "%v", errs)
			for field, texts := range errs {
				require.Len(t, texts, 1, field)
			}
			require.NotContains(t, errs.Error(), "Ruiz")
			require.NotContains(t, errs.Error(), "ana")
		})
	}
}

func TestTransactionHasTheFieldsOfTheContact(t *testing.T) {
	t.Parallel()
	for name, one := range map[string]struct {
		message string
		body    string
	}{
		"household": {
			string(contactMessage(t, nil)),
			`{"address1":"9 Elm St","address2":"B","city":"Mesa","contactType":"Household","country":"US","email":"ana.ruiz@example.org","emailType":"Home Email",` +
				`"firstName":"Ana","lastName":"Ruiz","middleName":"Maria","phone":"555-0100","phoneType":"Mobile Phone","postal":"85201","referenceId":"donor-310",` +
				`"referenceSource":"AcmeGive","state":"AZ","title":"Dr."}`,
		},
		"organization": {
			`{"customerId":"acme","referenceId":"org-1","contactType":"Organization","name":" Ruiz & Sons <Ltd> ","virtuousFields":{"tags":"web, gala",` +
				`"emailLists":["News"],"customFields":{"Shirt":12345678901234567890},"originSegmentCode":"WEB"}}`,
			`{"contactType":"Organization","customFields":{"Shirt":12345678901234567890},"emailLists":["News"],"name":"Ruiz & Sons <Ltd>",` +
				`"originSegmentCode":"WEB","referenceId":"org-1","referenceSource":"AcmeGive","tags":"web, gala"}`,
		},
		"as little as there may be": {
			`{"customerId":"acme","referenceId":"donor-1","lastName":"Ruiz"}`,
			`{"contactType":"Household","lastName":"Ruiz","referenceId":"donor-1","referenceSource":"AcmeGive"}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			contact, errs := giving.ParseContact([]byte(one.message), "acme", published)
			require.Empty(t, errs)
			body, err := contact.Transaction("AcmeGive")
			require.NoError(t, err)
			require.Equal(t, one.body, string(body))
		})
	}
}

func TestVersionsOfAContactThatMeanTheSameHaveTheSameCanonicalForm(t *testing.T) {
	t.Parallel()
	canonical := func(changed map[string]any) []byte {
		contact, errs := giving.ParseContact(contactMessage(t, changed), "acme", published)
		require.Empty(t, errs)
		encoded, err := contact.Encode()
		require.NoError(t, err)
		read, err := giving.DecodePartnerContact(encoded)
		require.NoError(t, err)
		require.Equal(t, contact, read)
		return encoded
	}
	first := canonical(nil)
	for _, same := range []map[string]any{
		{"contactType": nil}, {"firstName": " Ana "}, {"modifiedAt": "2026-11-20T04:00:00.0000004-07:00"}, {"virtuousFields": map[string]any{"tags": nil}},
	} {
		require.Equal(t, string(first), string(canonical(same)), "%v", same)
	}
	key := []byte("hash key")
	for _, other := range []map[string]any{{"modifiedAt": nil}, {"phone": "555-0101"}, {"virtuousFields": map[string]any{"tags": "x"}}} {
		require.NotEqual(t, giving.ContactHash(key, first), giving.ContactHash(key, canonical(other)), "%v", other)
	}
	require.NotEqual(t, giving.ContactHash(key, first), giving.ContentHash(key, first))
}

func TestReferenceOfAnInvalidContactIsKnownIfItCanBeShown(t *testing.T) {
	t.Parallel()
	require.Equal(t, "donor-310", giving.ReferenceOf(contactMessage(t, map[string]any{"email": "x"})))
	require.Equal(t, "donor-1", giving.ReferenceOf([]byte(`{"reference_id":"donor-1"}`)))
	require.Empty(t, giving.ReferenceOf([]byte(`{"referenceId":"a/b"}`)))
}

func TestNewerVersionIsTheOneThatChangedLaterOrWasPublishedLater(t *testing.T) {
	t.Parallel()
	at := func(modified, publishedAt int) giving.VersionTime {
		v := giving.VersionTime{PublishedAt: published.Add(time.Duration(publishedAt) * time.Minute)}
		if modified > 0 {
			moment := published.Add(time.Duration(modified) * time.Hour)
			v.ModifiedAt = &moment
		}
		return v
	}
	for name, one := range map[string]struct {
		version, known giving.VersionTime
		newer          bool
	}{
		"changed later, published earlier": {at(2, 1), at(1, 2), true},
		"changed earlier, published later": {at(1, 2), at(2, 1), false},
		"changed at the same time":         {at(1, 2), at(1, 1), true},
		"the same version":                 {at(1, 1), at(1, 1), false},
		"no time, published later":         {at(0, 2), at(1, 1), true},
		"no time, published earlier":       {at(0, 1), at(1, 2), false},
		"a time after none":                {at(1, 2), at(0, 1), true},
		"no times":                         {at(0, 2), at(0, 1), true},
	} {
		require.Equal(t, one.newer, one.version.IsNewerThan(one.known), name)
	}
}
