package virtuous

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestEventsHaveNamesInThreeSpellings(t *testing.T) {
	t.Parallel()
	for event, names := range map[Event][]string{
		GiftCreate:    {"GiftCreate", "giftCreate", "gift.created", "GIFT_CREATE"},
		GiftUpdate:    {"GiftUpdate", "giftUpdate", "gift.updated"},
		GiftDelete:    {"GiftDelete", "giftDelete", "gift.deleted"},
		ContactCreate: {"ContactCreate", "contactCreate", "contact.created"},
		ContactUpdate: {"ContactUpdate", "contactUpdate", "contact.updated"},
		OtherEvent:    {"ProjectUpdate", "form.submitted", "contact.merged", "ContactDelete", "", "gift", "giftcreates", "ContactNoteCreate", "gift.créated"},
	} {
		for _, name := range names {
			require.Equal(t, event, ParseEvent(name), name)
		}
		if event != OtherEvent {
			require.Equal(t, event, ParseEvent(event.String()))
		}
	}
	require.Equal(t, "Other", Event(99).String())
}

func TestEveryDeliveryIsReadInItsEnvelope(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		event Event
		ids   []int64
	}{
		"observed_gift_create_bulk":        {GiftCreate, []int64{88101, 88102, 88103}},
		"observed_gift_create_single":      {GiftCreate, []int64{88104}},
		"observed_gift_create_passthrough": {GiftCreate, nil},
		"observed_gift_create_reversing":   {GiftCreate, nil},
		"observed_gift_update_bulk":        {GiftUpdate, nil},
		"observed_gift_delete_bulk":        {GiftDelete, []int64{88102}},
		"observed_gift_delete_single":      {GiftDelete, []int64{88104}},
		"observed_gift_delete_id_only":     {GiftDelete, []int64{88103}},
		"observed_contact_create_bulk":     {ContactCreate, []int64{5120, 5121}},
		"observed_contact_update_single":   {ContactUpdate, nil},
		"observed_contact_update_merged":   {ContactUpdate, nil},
		"guide_gift_created":               {GiftCreate, []int64{88106}},
		"guide_gift_updated":               {GiftUpdate, []int64{88106}},
		"guide_gift_deleted":               {GiftDelete, []int64{88106}},
		"guide_contact_created":            {ContactCreate, []int64{5130}},
		"guide_contact_updated_merged":     {ContactUpdate, []int64{5131}},
		"guide_camel_event_name":           {GiftCreate, []int64{88107}},
		"odd_same_record_twice":            {GiftCreate, []int64{88109, 88109}},
		"odd_types":                        {GiftCreate, []int64{88111}},
		"odd_foreign_source":               {GiftCreate, []int64{88115}},
		"odd_case_of_source":               {GiftCreate, []int64{88116}},
	} {
		delivery, err := ParseDelivery(payload(t, "webhooks/"+name+".json"))
		require.NoError(t, err, name)
		require.Equal(t, test.event, delivery.Event, name)
		records := delivery.Records()
		require.NotEmpty(t, records)
		var ids []int64
		for _, record := range records {
			require.Empty(t, record.Problem, name)
			require.Equal(t, delivery.Event, record.Event)
			ids = append(ids, record.ID)
			isGift := test.event == GiftCreate || test.event == GiftUpdate
			require.Equal(t, isGift, record.Gift != nil, name)
			require.Equal(t, test.event == ContactCreate || test.event == ContactUpdate, record.Contact != nil, name)
			if isGift {
				require.True(t, record.Gift.IsComplete(), "%s: %s", name, record.Gift.Missing)
				require.Equal(t, record.ID, record.Gift.ID)
			}
			if record.Contact != nil {
				require.True(t, record.Contact.IsComplete(), "%s: %s", name, record.Contact.Missing)
			}
		}
		if test.ids != nil {
			require.Equal(t, test.ids, ids, name)
		}
	}
	delivery, err := ParseDelivery(payload(t, "webhooks/guide_gift_created.json"))
	require.NoError(t, err)
	require.Equal(t, "evt_01", delivery.EventID)
}

func TestEveryEnvelopeGivesTheSameRecord(t *testing.T) {
	t.Parallel()
	gift := string(payloadAt(t, "webhooks/observed_gift_create_bulk.json", "models.0.gift"))
	want, err := ParseGift([]byte(gift))
	require.NoError(t, err)
	for _, body := range []string{
		`{"event":"GiftCreate","models":[{"gift":` + gift + `}]}`,
		`{"event":"GiftCreate","models":[` + gift + `]}`,
		`{"event":"giftCreate","models":null,"gift":` + gift + `}`,
		`{"event":"gift.created","gift":` + gift + `}`,
		`{"eventType":"gift.created","data":` + gift + `}`,
		`{"eventType":"gift.created","data":{"gift":` + gift + `}}`,
		`{"eventType":"GiftCreate","event":null,"data":[` + gift + `]}`,
		"\ufeff \n" + `{"models":[{"gift":` + gift + `}],"event":"GiftCreate"}` + "\n",
	} {
		delivery, err := ParseDelivery([]byte(body))
		require.NoError(t, err, body)
		records := delivery.Records()
		require.Len(t, records, 1)
		require.Empty(t, records[0].Problem, body)
		require.Equal(t, want, *records[0].Gift)
	}
}

func TestUnhandledEventsAreNoError(t *testing.T) {
	t.Parallel()
	for _, body := range []string{
		string(payload(t, "webhooks/other_form_submission.json")), string(payload(t, "webhooks/other_project_update.json")),
		`{"event":"Ping"}`, `{"event":"x","models":7}`,
	} {
		delivery, err := ParseDelivery([]byte(body))
		require.NoError(t, err, body)
		require.Equal(t, OtherEvent, delivery.Event)
		require.Empty(t, delivery.Models)
		require.Empty(t, delivery.Split(100))
	}
}

func TestBodyThatIsNoDeliveryIsRejectedWithoutBeingQuoted(t *testing.T) {
	t.Parallel()
	for _, body := range []string{
		``, `null`, `[]`, `"GiftCreate"`, `Ana`, `<html>`, `{"event":"GiftCreate","models":[}`, `{}`, `{"event":""}`, `{"event":" "}`,
		`{"event":null,"models":[]}`,
		`{"event":"GiftCreate"}`, `{"event":"GiftCreate","models":{"gift":{"id":1}}}`, `{"event":"GiftCreate","models":7}`,
		`{"eventType":"gift.created","data":"Ana"}`,
		`{"event":["GiftCreate"],"models":[]}`, string(payload(t, "webhooks/odd_no_event.json")), string(payload(t, "webhooks/odd_event_not_text.json")),
	} {
		_, err := ParseDelivery([]byte(body))
		require.ErrorIs(t, err, ErrNotDelivery, body)
		require.NotContains(t, err.Error(), "Ana")
		require.NotContains(t, err.Error(), "GiftCreate")
	}
}

func TestEmptyDeliveryHasNoRecords(t *testing.T) {
	t.Parallel()
	for _, body := range []string{string(payload(t, "webhooks/odd_models_empty.json")), `{"event":"GiftCreate","models":null}`,
		`{"eventType":"gift.created","data":[]}`} {
		delivery, err := ParseDelivery([]byte(body))
		require.NoError(t, err, body)
		require.Empty(t, delivery.Records())
		require.Empty(t, delivery.Split(100))
	}
}

func TestBrokenEntryDoesNotStopTheOthers(t *testing.T) {
	t.Parallel()
	for entry, want := range map[string]Record{
		`null`: {Problem: "the entry is no object"}, `7`: {Problem: "the entry is no object"}, `[]`: {Problem: "the entry is no object"},
		`{}`: {Problem: problemNoID}, `{"gift":null}`: {Problem: problemNoID}, `{"gift":{}}`: {Problem: problemNoID},
		`{"gift":{"id":"x"}}`: {Problem: problemNoID},
		`{"gift":[]}`:         {Problem: problemNoID}, `{"id":1,"gift":{"id":2}}`: {Problem: problemIDs},
		`{"contact":{"id":1}}`:           {Problem: "the entry has a contact where the event is about a gift"},
		`{"id":1,"gift":null}`:           {ID: 1},
		`{"id":"1","gift":{"amount":1}}`: {ID: 1},
		`{"id":1,"gift":{"id":"1"}}`:     {ID: 1},
		`{"id":1}`:                       {ID: 1},
	} {
		delivery, err := ParseDelivery([]byte(`{"event":"GiftUpdate","models":[` + entry + `,{"gift":{"id":9}}]}`))
		require.NoError(t, err)
		records := delivery.Records()
		require.Len(t, records, 2)
		require.Equal(t, want.Problem, records[0].Problem, entry)
		require.Equal(t, want.ID, records[0].ID, entry)
		require.Equal(t, entry, string(records[0].Raw))
		require.Equal(t, want.Problem == "", records[0].Gift != nil)
		if records[0].Gift != nil {
			require.Equal(t, records[0].ID, records[0].Gift.ID)
			require.False(t, records[0].Gift.IsComplete(), "it has to be read")
		}
		require.EqualValues(t, 9, records[1].Gift.ID)
	}
	delivery, err := ParseDelivery(payload(t, "webhooks/odd_models_null_records.json"))
	require.NoError(t, err)
	records := delivery.Records()
	require.Len(t, records, 3)
	require.NotEmpty(t, records[0].Problem)
	require.NotEmpty(t, records[1].Problem)
	require.EqualValues(t, 88108, records[2].ID)
}

func TestContactWithItsIDBesideItHasToBeRead(t *testing.T) {
	t.Parallel()
	for _, body := range []string{`{"event":"ContactUpdate","id":5,"contact":null}`, `{"event":"ContactUpdate","models":[{"id":5}]}`} {
		delivery, err := ParseDelivery([]byte(body))
		require.NoError(t, err)
		record := delivery.Records()[0]
		require.Empty(t, record.Problem)
		require.EqualValues(t, 5, record.ID)
		require.False(t, record.Contact.IsComplete())
	}
	delivery, err := ParseDelivery([]byte(`{"event":"ContactUpdate","models":[{"gift":{"id":5}},{"contact":{}}]}`))
	require.NoError(t, err)
	for _, record := range delivery.Records() {
		require.NotEmpty(t, record.Problem)
		require.Nil(t, record.Contact)
	}
}

func TestRecordWithoutModifiedTimeHasToBeRead(t *testing.T) {
	t.Parallel()
	delivery, err := ParseDelivery(payload(t, "webhooks/odd_no_modified_time.json"))
	require.NoError(t, err)
	require.Equal(t, []string{"modifiedDateTimeUtc"}, delivery.Records()[0].Gift.Missing)
}

func TestDeletionNeedsOneIDOnly(t *testing.T) {
	t.Parallel()
	for entry, want := range map[string]int64{
		`{"id":1}`: 1, `{"gift":{"id":1}}`: 1, `{"id":"1","gift":{"id":1}}`: 1, `{"id":1,"gift":null}`: 1,
		`{"id":1,"gift":{"id":2}}`: 0, `{"gift":{}}`: 0, `{}`: 0,
	} {
		delivery, err := ParseDelivery([]byte(`{"event":"GiftDelete","models":[` + entry + `]}`))
		require.NoError(t, err)
		record := delivery.Records()[0]
		require.Equal(t, want, record.ID, entry)
		require.Equal(t, want == 0, record.Problem != "", entry)
		require.Nil(t, record.Gift)
	}
}

func TestPartsHaveTheSameRecordsInTheirOrder(t *testing.T) {
	t.Parallel()
	for _, name := range webhookFiles(t) {
		delivery, err := ParseDelivery(payload(t, "webhooks/"+name))
		if err != nil {
			continue
		}
		for _, maxBytes := range []int{0, 100, 2000, 4000, 1 << 20} {
			requireParts(t, delivery, maxBytes)
			first := delivery.Split(maxBytes)
			require.Equal(t, first, delivery.Split(maxBytes), "the same bytes each time")
		}
	}
}

// requireParts checks that the parts of a delivery have its records, and are as large as allowed.
func requireParts(t *testing.T, delivery Delivery, maxBytes int) {
	t.Helper()
	var models []json.RawMessage
	for _, part := range delivery.Split(maxBytes) {
		read, err := ParseDelivery(part.Body)
		require.NoError(t, err)
		require.Equal(t, delivery.Event, read.Event)
		require.Len(t, read.Models, part.Entries)
		require.True(t, len(part.Body) <= maxBytes || part.Entries == 1, "%d entries of %d bytes", part.Entries, len(part.Body))
		models = append(models, read.Models...)
	}
	require.Len(t, models, len(delivery.Models))
	for i := range models {
		require.Equal(t, string(delivery.Models[i]), string(models[i]))
	}
}

func TestLargeDeliveryArrivesWholeInParts(t *testing.T) {
	t.Parallel()
	gift := string(payloadAt(t, "webhooks/observed_gift_create_bulk.json", "models.0.gift"))
	var entries []string
	for id := range 4000 {
		entries = append(entries, `{"gift":`+strings.Replace(gift, `"id":88101`, fmt.Sprintf(`"id":%d`, id+1), 1)+`}`)
	}
	delivery, err := ParseDelivery([]byte(`{"event":"GiftCreate","models":[` + strings.Join(entries, ", ") + `]}`))
	require.NoError(t, err)
	parts := delivery.Split(128 << 10)
	require.Greater(t, len(parts), 40)
	next := int64(1)
	for _, part := range parts {
		require.LessOrEqual(t, len(part.Body), 128<<10)
		read, err := ParseDelivery(part.Body)
		require.NoError(t, err)
		for _, record := range read.Records() {
			require.Equal(t, next, record.ID)
			next++
		}
	}
	require.EqualValues(t, 4001, next)
}

func webhookFiles(t testing.TB) []string {
	t.Helper()
	entries, err := os.ReadDir("testdata/webhooks")
	require.NoError(t, err)
	var names []string
	for _, entry := range entries {
		if entry.Name() != "signatures.json" {
			names = append(names, entry.Name())
		}
	}
	require.Greater(t, len(names), 20)
	return names
}

// FuzzDelivery checks that any body gives an error or records that can be applied or say why not, in our own words, and that
// a delivery and its parts have the same records.
func FuzzDelivery(f *testing.F) {
	for _, name := range webhookFiles(f) {
		f.Add(payload(f, "webhooks/"+name), 1000)
	}
	f.Fuzz(func(t *testing.T, body []byte, maxBytes int) {
		delivery, err := ParseDelivery(body)
		if err != nil {
			require.ErrorIs(t, err, ErrNotDelivery)
			require.Less(t, len(err.Error()), 100)
			return
		}
		again, err := ParseDelivery(body)
		require.NoError(t, err)
		require.Equal(t, delivery, again)
		require.True(t, delivery.Event != OtherEvent || len(delivery.Models) == 0)
		requireParts(t, delivery, maxBytes)
		records := delivery.Records()
		require.Len(t, records, len(delivery.Models))
		for _, record := range records {
			requireRecord(t, record)
		}
	})
}

func requireRecord(t *testing.T, record Record) {
	t.Helper()
	require.True(t, json.Valid(record.Raw))
	require.Equal(t, record.Problem == "", record.ID > 0)
	if record.Problem != "" {
		require.Regexp(t, `^the entry [a-z ]+$`, record.Problem)
		require.Nil(t, record.Gift)
		require.Nil(t, record.Contact)
		return
	}
	if gift := record.Gift; gift != nil {
		require.Equal(t, record.ID, gift.ID)
		requireStorable(t, gift.Fields())
		read, err := ParseGift(gift.Raw)
		require.NoError(t, err)
		require.Equal(t, *gift, read, "a kept record is read as the same")
	}
	if contact := record.Contact; contact != nil {
		require.Equal(t, record.ID, contact.ID)
		requireStorable(t, contact.Fields())
		read, err := ParseContact(contact.Raw)
		require.NoError(t, err)
		require.Equal(t, *contact, read)
	}
}

// requireStorable checks that a database can keep every field.
func requireStorable(t *testing.T, fields []Field) {
	t.Helper()
	for _, field := range fields {
		require.NotContains(t, field.Value, "\x00")
		require.Equal(t, strings.ToValidUTF8(field.Value, ""), field.Value)
	}
}
