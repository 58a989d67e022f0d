package resolution

import (
	"strings"
	"unicode"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// Fields that are compared, in the order in which differences are listed.
const (
	FieldName    = "name"
	FieldEmail   = "email"
	FieldPhone   = "phone"
	FieldAddress = "address"
)

// Fields returns the names of all fields that are compared.
func Fields() []string { return []string{FieldName, FieldEmail, FieldPhone, FieldAddress} }

// Side is what one side has of a contact. A value that it does not have is empty.
type Side struct {
	Name    string // of the primary person, "Ana Ruiz"; of an organization, its name
	Email   string // the primary one
	Phone   string // the primary one
	Address Address
}

// Address is a primary address.
type Address struct{ Address1, Address2, City, State, Postal, Country string }

// String joins the parts that there are.
func (a Address) String() string {
	var parts []string
	for _, part := range a.parts() {
		if part = strings.TrimSpace(part); part != "" {
			parts = append(parts, part)
		}
	}
	return strings.Join(parts, ", ")
}

func (a Address) parts() []string {
	return []string{a.Address1, a.Address2, a.City, a.State, a.Postal, a.Country}
}

// Of returns the value of a field as it is shown to people.
func (s Side) Of(field string) string {
	switch field {
	case FieldName:
		return s.Name
	case FieldEmail:
		return s.Email
	case FieldPhone:
		return s.Phone
	default:
		return s.Address.String()
	}
}

// Difference is a field whose two values differ. They are personal data.
type Difference struct {
	Field    string
	Partner  string
	Virtuous string
}

// Compare returns the fields in which the two sides differ. A field that the platform does not have is not compared: there is nothing that it
// could claim.
func Compare(partner, virtuous Side) []Difference {
	var differences []Difference
	for _, field := range Fields() {
		if partner.Of(field) != "" && !isSame(field, partner, virtuous) {
			differences = append(differences, Difference{Field: field, Partner: partner.Of(field), Virtuous: virtuous.Of(field)})
		}
	}
	return differences
}

func isSame(field string, partner, virtuous Side) bool {
	switch field {
	case FieldPhone:
		return isSamePhone(partner.Phone, virtuous.Phone)
	case FieldAddress:
		return isSameAddress(partner.Address, virtuous.Address)
	case FieldName:
		return words(partner.Name) == words(virtuous.Name)
	default:
		return folded(partner.Of(field)) == folded(virtuous.Of(field))
	}
}

// shortestNumber is how many digits must agree, from the end, for two phone numbers to be the same: one side may have the prefix of the country or
// of the area, and the other not.
const shortestNumber = 7

func isSamePhone(one, other string) bool {
	one, other = digits(one), digits(other)
	if len(one) > len(other) {
		one, other = other, one
	}
	if len(one) < shortestNumber {
		return one == other
	}
	// A zero that is dialled within a country stands in the place of its prefix.
	return strings.HasSuffix(other, one) || strings.HasSuffix(other, strings.TrimLeft(one, "0"))
}

// isSameAddress compares the parts that the platform has. A state or country that one side has as a code, and the other as a name, says nothing.
func isSameAddress(partner, virtuous Address) bool {
	if words(partner.Address1+" "+partner.Address2) != words(virtuous.Address1+" "+virtuous.Address2) &&
		(partner.Address1 != "" || partner.Address2 != "") {
		return false
	}
	if partner.City != "" && words(partner.City) != words(virtuous.City) {
		return false
	}
	for _, pair := range [][2]string{{partner.State, virtuous.State}, {partner.Country, virtuous.Country}} {
		if pair[0] != "" && isCode(pair[0]) == isCode(pair[1]) && words(pair[0]) != words(pair[1]) {
			return false
		}
	}
	return partner.Postal == "" || isSamePostal(partner.Postal, virtuous.Postal)
}

// longestCode is that of the codes of states and countries.
const longestCode = 3

func isCode(text string) bool { return text != "" && len(words(text)) <= longestCode }

// isSamePostal compares postal codes; those of the USA may have four more digits.
func isSamePostal(one, other string) bool {
	one, other = strings.ReplaceAll(words(one), " ", ""), strings.ReplaceAll(words(other), " ", "")
	const short, long = 5, 9
	if len(one) == long && len(other) == short || len(one) == short && len(other) == long {
		return one[:short] == other[:short]
	}
	return one == other
}

// folded returns a text in which letter case, width and spaces at its ends do not count.
func folded(text string) string {
	return cases.Fold().String(norm.NFKC.String(strings.TrimSpace(text)))
}

// words returns the letters and digits of a text, folded, with one space between words.
func words(text string) string {
	return strings.Join(strings.FieldsFunc(folded(text), func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.IsMark(r)
	}), " ")
}

// digits returns the digits of a phone number up to an extension.
func digits(number string) string {
	number = folded(number)
	if at := strings.IndexAny(number, "x#;,"); at >= 0 {
		number = number[:at]
	}
	return strings.Map(func(r rune) rune {
		if r < '0' || r > '9' {
			return -1
		}
		return r
	}, number)
}
