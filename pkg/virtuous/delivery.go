package virtuous

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/tidwall/gjson"
)

// ErrNotDelivery means that a body is no delivery: not JSON, or in none of the forms that deliveries have. The error does
// not quote the body.
var ErrNotDelivery = errors.New("that is no delivery of a webhook")

// Event is what a delivery reports.
type Event int

const (
	// OtherEvent is an event that giving does not handle.
	OtherEvent Event = iota
	// GiftCreate: a gift was made.
	GiftCreate
	// GiftUpdate: a gift was changed.
	GiftUpdate
	// GiftDelete: a gift was deleted.
	GiftDelete
	// ContactCreate: a contact was made.
	ContactCreate
	// ContactUpdate: a contact was changed, archived, or merged into another one.
	ContactUpdate
)

// String returns the name that Virtuous' own envelope uses, such as GiftCreate.
func (e Event) String() string {
	switch e {
	case OtherEvent:
		return "Other"
	case GiftCreate:
		return "GiftCreate"
	case GiftUpdate:
		return "GiftUpdate"
	case GiftDelete:
		return "GiftDelete"
	case ContactCreate:
		return "ContactCreate"
	case ContactUpdate:
		return "ContactUpdate"
	}
	return "Other"
}

// ParseEvent returns the event of a name in any of the spellings in use: GiftCreate, giftCreate, gift.created.
func ParseEvent(name string) Event {
	switch letters := strings.NewReplacer(".", "", "_", "", "-", "", " ", "").Replace(strings.ToLower(name)); letters {
	case "giftcreate", "giftcreated":
		return GiftCreate
	case "giftupdate", "giftupdated":
		return GiftUpdate
	case "giftdelete", "giftdeleted":
		return GiftDelete
	case "contactcreate", "contactcreated":
		return ContactCreate
	case "contactupdate", "contactupdated":
		return ContactUpdate
	}
	return OtherEvent
}

// Delivery is the body of one webhook request, in one form whatever envelope it had.
type Delivery struct {
	Event   Event
	EventID string // "" if the envelope has none
	// Models are the entries, each with a record or a deletion, as Virtuous sent them; of an OtherEvent there are none.
	Models []json.RawMessage
}

// ParseDelivery reads the body of a webhook request:
//
//	{"event":…,"models":[{"gift":…},…]}
//	{"event":…,"gift":…} or {"event":…,"contact":…}
//	{"eventType":…,"data":…}
//
// It checks the envelope only: an entry may be null, incomplete or broken (Records says so). Its error is ErrNotDelivery.
func ParseDelivery(body []byte) (Delivery, error) {
	value, ok := document(body)
	if !ok || !value.IsObject() {
		return Delivery{}, fmt.Errorf("%w: it is no JSON object", ErrNotDelivery)
	}
	name := value.Get("event")
	if isNone(name) {
		name = value.Get("eventType")
	}
	if name.Type != gjson.String || strings.TrimSpace(name.Str) == "" {
		return Delivery{}, fmt.Errorf("%w: it names no event", ErrNotDelivery)
	}
	d := Delivery{Event: ParseEvent(name.Str), EventID: textAt(value, "eventId")}
	if d.Event == OtherEvent {
		return d, nil
	}
	models, data := value.Get("models"), value.Get("data")
	switch {
	case models.IsArray():
		d.Models = rawElements(models)
	case data.IsArray():
		d.Models = rawElements(data)
	case data.IsObject():
		d.Models = []json.RawMessage{json.RawMessage(data.Raw)}
	case value.Get("gift").Exists(), value.Get("contact").Exists(), value.Get("id").Exists():
		d.Models = []json.RawMessage{json.RawMessage(value.Raw)}
	case !models.Exists() || !isNone(models): // null stands for an empty list
		return Delivery{}, fmt.Errorf("%w: it has no records", ErrNotDelivery)
	}
	return d, nil
}

func rawElements(list gjson.Result) []json.RawMessage {
	elements := []json.RawMessage{}
	list.ForEach(func(_, element gjson.Result) bool {
		elements = append(elements, json.RawMessage(element.Raw))
		return true
	})
	return elements
}

// Part is some of the entries of a delivery: a delivery itself, in Virtuous' own envelope.
type Part struct {
	Body    []byte
	Entries int
}

// Split divides a delivery into bodies that ParseDelivery reads again, in the order of the entries, each of at most
// maxBytes. An entry that is longer alone is a part of its own. A delivery without entries has no part. The same
// delivery always gives the same bytes.
func (d Delivery) Split(maxBytes int) []Part {
	head := []byte(`{"event":"` + d.Event.String() + `","models":[`)
	const tail = "]}"
	var parts []Part
	var body bytes.Buffer
	entries := 0
	end := func() {
		if entries > 0 {
			body.WriteString(tail)
			parts = append(parts, Part{Body: bytes.Clone(body.Bytes()), Entries: entries})
		}
		body.Reset()
		entries = 0
	}
	for _, model := range d.Models {
		if entries > 0 && body.Len()+len(",")+len(model)+len(tail) > maxBytes {
			end()
		}
		if entries == 0 {
			body.Write(head)
		} else {
			body.WriteByte(',')
		}
		body.Write(model)
		entries++
	}
	end()
	return parts
}

// Record is one entry of a delivery.
type Record struct {
	Event Event
	ID    int64 // 0 if Problem says that there is none
	// Gift or Contact is the record, with what it lacks in Missing. Both are nil for a deletion.
	Gift    *Gift
	Contact *Contact
	// Problem says in our own words why the entry cannot be applied; "" if it can.
	Problem string
	Raw     json.RawMessage // the entry
}

// Records reads the entries, in their order. A record that occurs twice is returned twice. A broken one does not affect the
// others.
func (d Delivery) Records() []Record {
	records := make([]Record, 0, len(d.Models))
	for _, model := range d.Models {
		record := Record{Event: d.Event, Raw: model}
		value, ok := document(model)
		switch {
		case !ok || !value.IsObject():
			record.Problem = "the entry is no object"
		case d.Event == GiftDelete:
			record.readDeletion(value)
		case d.Event == GiftCreate, d.Event == GiftUpdate:
			record.readGift(value)
		case d.Event == ContactCreate, d.Event == ContactUpdate:
			record.readContact(value)
		default:
			record.Problem = "the event is not handled"
		}
		records = append(records, record)
	}
	return records
}

const (
	problemNoID = "the entry has no id"
	problemIDs  = "the entry has two different ids"
)

// readDeletion reads the id of a deleted gift, which stands beside the gift, in it, or alone.
func (r *Record) readDeletion(value gjson.Result) {
	r.ID, r.Problem = entryID(value, value.Get("gift"))
}

// entryID returns the id of an entry. It may stand in the entry, in the record in it, or in both.
func entryID(entry, record gjson.Result) (id int64, problem string) {
	outside, inside := entry.Get("id"), record.Get("id")
	outer, isOuter := readID(outside)
	inner, isInner := readID(inside)
	switch {
	case isOuter && isInner && outer != inner:
		return 0, problemIDs
	case isInner:
		return inner, ""
	case isOuter:
		return outer, ""
	}
	return 0, problemNoID
}

func (r *Record) readGift(value gjson.Result) {
	record, problem := inner(value, "gift", "contact")
	if r.Problem = problem; problem != "" {
		return
	}
	if r.ID, r.Problem = entryID(value, record); r.Problem != "" {
		return
	}
	gift, err := readGift(record)
	if err != nil { // the id stands beside a gift that is null or has none
		gift, err = readGift(gjson.Parse(fmt.Sprintf(`{"id":%d}`, r.ID)))
	}
	if err != nil {
		r.Problem = problemNoID
		return
	}
	r.Gift = &gift
}

func (r *Record) readContact(value gjson.Result) {
	record, problem := inner(value, "contact", "gift")
	if r.Problem = problem; problem != "" {
		return
	}
	if r.ID, r.Problem = entryID(value, record); r.Problem != "" {
		return
	}
	contact, err := readContact(record)
	if err != nil {
		contact, err = readContact(gjson.Parse(fmt.Sprintf(`{"id":%d}`, r.ID)))
	}
	if err != nil {
		r.Problem = problemNoID
		return
	}
	r.Contact = &contact
}

// inner returns the record of an entry: the member of that name, or the entry itself if it has none.
func inner(entry gjson.Result, name, other string) (record gjson.Result, problem string) {
	record = entry.Get(name)
	switch {
	case record.Exists():
		return record, ""
	case entry.Get(other).IsObject():
		return record, "the entry has a " + other + " where the event is about a " + name
	}
	return entry, ""
}
