package giving

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
)

// Donation is a donation in its canonical form: amounts have the decimals of their currency, the date is a day of the organization,
// and texts have no spaces at their ends. Equal donations are encoded as equal bytes.
type Donation struct {
	CustomerID         string         `json:"customerId"`
	PlatformDonationID string         `json:"platformDonationId"`
	Amount             string         `json:"amount"`
	CurrencyCode       string         `json:"currencyCode"`
	GiftDate           string         `json:"giftDate"` // YYYY-MM-DD
	GiftType           string         `json:"giftType,omitempty"`
	Contact            Contact        `json:"contact"`
	Designations       []Designation  `json:"designations"`
	PlatformReference  string         `json:"platformReference,omitempty"`
	VirtuousFields     map[string]any `json:"virtuousFields,omitempty"` // numbers are json.Number: they are passed on digit by digit
}

// Contact is the donor.
type Contact struct {
	ReferenceID string  `json:"referenceId,omitempty"`
	Type        string  `json:"type,omitempty"`
	Name        string  `json:"name,omitempty"`
	FirstName   string  `json:"firstName,omitempty"`
	LastName    string  `json:"lastName,omitempty"`
	Email       string  `json:"email,omitempty"`
	Phone       string  `json:"phone,omitempty"`
	Address     Address `json:"address,omitzero"`
}

// Address is a postal address.
type Address struct {
	Address1 string `json:"address1,omitempty"`
	Address2 string `json:"address2,omitempty"`
	City     string `json:"city,omitempty"`
	State    string `json:"state,omitempty"`
	Postal   string `json:"postal,omitempty"`
	Country  string `json:"country,omitempty"`
}

// Designation is a share of the donation for a project.
type Designation struct {
	Code             string `json:"code"`
	AmountDesignated string `json:"amountDesignated"`
}

// Encode returns the canonical bytes.
func (d Donation) Encode() ([]byte, error) {
	encoded, err := encode(d)
	if err != nil {
		return nil, fmt.Errorf("encode donation: %w", err)
	}
	return encoded, nil
}

// DecodeDonation reads what Encode returned.
func DecodeDonation(encoded []byte) (Donation, error) {
	var d Donation
	if err := decode(encoded, &d); err != nil {
		return Donation{}, fmt.Errorf("decode donation: %w", err)
	}
	return d, nil
}

// ContentHash returns the hash by which two messages are known to be the same donation, keyed with the customer's hash key.
func ContentHash(key, canonical []byte) []byte { return hashOf(key, "donation", canonical) }

func hashOf(key []byte, what string, canonical []byte) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(what + "\x00"))
	mac.Write(canonical)
	return mac.Sum(nil)
}

// encode returns JSON with the members of maps in order, and with the characters < > & as they are.
func encode(value any) ([]byte, error) {
	var buffer bytes.Buffer
	encoder := json.NewEncoder(&buffer)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(buffer.Bytes(), []byte("\n")), nil
}

// decode reads one JSON value and keeps the digits of its numbers.
func decode(data []byte, into any) error {
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	if err := decoder.Decode(into); err != nil {
		return err
	}
	if _, err := decoder.Token(); err != io.EOF {
		return io.ErrUnexpectedEOF
	}
	return nil
}
