package virtuous

import (
	"cmp"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tidwall/gjson"
)

// ErrNotRecord means that a value is no record: no JSON object, or one without an id that is a whole number.
var ErrNotRecord = errors.New("that is no record: it is no JSON object with an id")

// Gift is a gift as Virtuous has it. What the record leaves out, or has as null, is the zero value.
type Gift struct {
	ID                int64
	TransactionSource string // "" for a gift that staff entered
	TransactionID     string
	ContactID         int64
	PassthroughID     int64 // the contact that gets the soft credit
	IndividualID      int64
	Type              string // as Virtuous spells it; see IsReversal
	Date              Date
	Amount            Money
	CurrencyCode      string
	Designations      []GiftDesignation
	Batch             string
	SegmentCode       string
	Notes             string
	ReceiptDate       Date
	IsPrivate         bool
	IsTaxDeductible   bool
	CustomFields      map[string]string // without those that have no value
	CreatedAt         time.Time
	ModifiedAt        time.Time // zero: the record does not say
	// Missing has the names of fields that the record should have and lacks, or has in a form that cannot be read: read
	// the gift by its id before applying it.
	Missing []string
	// Raw is the record as Virtuous sent it.
	Raw json.RawMessage
}

// GiftDesignation is the part of a gift that goes to one project.
type GiftDesignation struct {
	ProjectID   int64
	ProjectCode string
	Project     string
	Amount      Money
}

// String names the gift by its id: it must not show a donor in a log by mistake.
func (g Gift) String() string { return "gift " + strconv.FormatInt(g.ID, 10) }

// GoString is String.
func (g Gift) GoString() string { return g.String() }

// Field is a canonical field of a record: records that agree in it have the same text.
type Field struct{ Name, Value string }

// ParseGift reads a full gift. Its error is ErrNotRecord; every other defect is in Missing.
func ParseGift(raw []byte) (Gift, error) {
	value, ok := document(raw)
	if !ok {
		return Gift{}, ErrNotRecord
	}
	return readGift(value)
}

func readGift(value gjson.Result) (Gift, error) {
	id, ok := readID(value.Get("id"))
	if !value.IsObject() || !ok {
		return Gift{}, ErrNotRecord
	}
	g := Gift{
		ID: id, Raw: json.RawMessage(value.Raw),
		TransactionSource: textAt(value, "transactionSource"), TransactionID: textAt(value, "transactionId"),
		ContactID: idAt(value, "contactId"), PassthroughID: idAt(value, "contactPassthroughId"),
		IndividualID: idAt(value, "contactIndividualId"),
		Type:         textAt(value, "giftType"), Date: dateAt(value, "giftDate"),
		CurrencyCode: strings.ToUpper(textAt(value, "currencyCode")),
		Batch:        textAt(value, "batch"), SegmentCode: textAt(value, "segmentCode"), Notes: textAt(value, "notes"),
		ReceiptDate: dateAt(value, "receiptDate"),
		IsPrivate:   boolAt(value, "isPrivate"), IsTaxDeductible: boolAt(value, "isTaxDeductible"),
		CustomFields: customFields(value.Get("customFields")),
		CreatedAt:    timeAt(value, "createDateTimeUtc"), ModifiedAt: timeAt(value, "modifiedDateTimeUtc"),
	}
	var hasAmount, hasDesignations bool
	g.Amount, hasAmount = moneyAt(value, "amount")
	g.Designations, hasDesignations = readDesignations(value)
	g.Missing = missing([]requirement{
		{"amount", hasAmount},
		{"contactId", g.ContactID != 0},
		{"giftType", g.Type != ""},
		{"giftDate", !g.Date.IsZero()},
		{"modifiedDateTimeUtc", !g.ModifiedAt.IsZero()},
		{"transactionSource", isTextOrNull(value.Get("transactionSource"))},
		{"transactionId", isTextOrNull(value.Get("transactionId"))},
		{"giftDesignations", hasDesignations},
	})
	return g, nil
}

// requirement is a field that a record should have, and whether it has it.
type requirement struct {
	field string
	met   bool
}

// missing returns the fields of the requirements that are not met.
func missing(requirements []requirement) []string {
	var fields []string
	for _, required := range requirements {
		if !required.met {
			fields = append(fields, required.field)
		}
	}
	return fields
}

// isTextOrNull reports whether a member is there and can be read. Null is an answer: a gift that staff entered has no
// transaction.
func isTextOrNull(member gjson.Result) bool {
	_, readable := readText(member)
	return member.Exists() && readable
}

// readDesignations reads the designations in the form of answers, and in that of the transactions that clients send. ok
// is false if there is no list, or an amount cannot be read.
func readDesignations(value gjson.Result) (designations []GiftDesignation, ok bool) {
	list := value.Get("giftDesignations")
	if isNone(list) {
		list = value.Get("designations")
	}
	ok = list.IsArray()
	for entry := range objects(list) {
		amount, readable := moneyAt(entry, "amountDesignated")
		ok = ok && readable
		designations = append(designations, GiftDesignation{
			ProjectID: idAt(entry, "projectId"), ProjectCode: cmp.Or(textAt(entry, "projectCode"), textAt(entry, "code")),
			Project: textAt(entry, "project"), Amount: amount,
		})
	}
	return designations, ok
}

// IsComplete reports whether the record has every field that it should have.
func (g Gift) IsComplete() bool { return len(g.Missing) == 0 }

// IsReversal reports whether the gift takes back another one.
func (g Gift) IsReversal() bool {
	return canonicalType(g.Type) == "reversingtransaction" || g.Amount.Sign() < 0
}

// IsOf reports whether the gift was made by the transaction of that source and id. The case of the source is ignored.
func (g Gift) IsOf(source, id string) bool {
	return g.TransactionID != "" && g.TransactionID == id && strings.EqualFold(g.TransactionSource, source)
}

// Fields returns the canonical fields, in a fixed order and in the same form whatever endpoint or envelope the record came
// from. The times are no fields: they are the other half of a version. Custom fields are none either: only webhooks
// have those without a value.
func (g Gift) Fields() []Field {
	designations := make([]string, 0, len(g.Designations))
	for _, d := range g.Designations {
		project := d.ProjectCode
		if d.ProjectID > 0 {
			project = strconv.FormatInt(d.ProjectID, 10)
		}
		designations = append(designations, strconv.Quote(project)+" "+d.Amount.String())
	}
	slices.Sort(designations)
	return []Field{
		{"transactionSource", g.TransactionSource},
		{"transactionId", g.TransactionID},
		{"contactId", idText(g.ContactID)},
		{"contactPassthroughId", idText(g.PassthroughID)},
		{"contactIndividualId", idText(g.IndividualID)},
		{"giftType", canonicalType(g.Type)},
		{"giftDate", g.Date.String()},
		{"amount", g.Amount.String()},
		{"currencyCode", g.CurrencyCode},
		{"giftDesignations", strings.Join(designations, ", ")},
		{"batch", g.Batch},
		{"segmentCode", g.SegmentCode},
		{"notes", g.Notes},
		{"receiptDate", g.ReceiptDate.String()},
		{"isPrivate", strconv.FormatBool(g.IsPrivate)},
		{"isTaxDeductible", strconv.FormatBool(g.IsTaxDeductible)},
	}
}

// canonicalType returns a gift type without what its spellings differ in: "Reversing Transaction" and
// "ReversingTransaction" are both in use, as are "EFT" and its long form.
func canonicalType(giftType string) string {
	letters := strings.Map(func(r rune) rune {
		if r == ' ' || r == '-' || r == '_' {
			return -1
		}
		return r
	}, strings.ToLower(giftType))
	if letters == "eft" {
		return "electronicfundstransfer"
	}
	return letters
}

func idText(id int64) string {
	if id == 0 {
		return ""
	}
	return strconv.FormatInt(id, 10)
}
