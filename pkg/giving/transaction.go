package giving

import (
	"fmt"
	"strings"
)

// giftDesignations is the other name of the list of designations in a transaction: the vendor's documents disagree.
const giftDesignations = "giftDesignations"

// PurposeTransaction is the purpose for which transactions are sealed with the customer's data key.
const PurposeTransaction = "donation_transaction"

// Settings are what a customer's settings add to each transaction.
type Settings struct {
	TransactionSource string
	DesignationsField string // designations or giftDesignations
	Defaults          []byte // a JSON object, or nothing; a field that the donation has takes its place
}

// Transaction returns the body that Virtuous gets for the donation. The platform's reference is not in it.
func (d Donation) Transaction(settings Settings) ([]byte, error) {
	body := map[string]any{}
	if len(settings.Defaults) > 0 {
		if err := decode(settings.Defaults, &body); err != nil {
			return nil, fmt.Errorf("decode defaults of transactions: %w", err)
		}
	}
	for name, value := range d.VirtuousFields {
		set(body, name, value)
	}
	if d.GiftType != "" {
		set(body, "giftType", d.GiftType)
	}
	set(body, "transactionSource", settings.TransactionSource)
	set(body, "transactionId", d.PlatformDonationID)
	set(body, fieldContact, d.Contact.fields())
	set(body, fieldDate, d.GiftDate)
	set(body, fieldAmount, d.Amount)
	set(body, fieldCurrency, d.CurrencyCode)
	list, code := fieldDesignations, "code"
	if settings.DesignationsField == giftDesignations {
		list, code = giftDesignations, "projectCode"
	}
	designations := make([]map[string]string, 0, len(d.Designations))
	for _, one := range d.Designations {
		designations = append(designations, map[string]string{code: one.Code, "amountDesignated": one.AmountDesignated})
	}
	set(body, list, designations)
	encoded, err := encode(body)
	if err != nil {
		return nil, fmt.Errorf("encode transaction: %w", err)
	}
	return encoded, nil
}

// set replaces a default of the same name in any letter case: Virtuous reads names so.
func set(body map[string]any, name string, value any) {
	for known := range body {
		if strings.EqualFold(known, name) {
			delete(body, known)
		}
	}
	body[name] = value
}

// fields returns the contact with the names that transactions have. Absent fields are left out: Virtuous matches by what is there.
func (c Contact) fields() map[string]any {
	fields := map[string]any{}
	add := func(to map[string]any, name, value string) {
		if value != "" {
			to[name] = value
		}
	}
	add(fields, "referenceId", c.ReferenceID)
	add(fields, "type", c.Type)
	add(fields, "name", c.Name)
	add(fields, "firstname", c.FirstName)
	add(fields, "lastname", c.LastName)
	add(fields, "email", c.Email)
	add(fields, "phone", c.Phone)
	if c.Address != (Address{}) {
		address := map[string]any{}
		add(address, "address1", c.Address.Address1)
		add(address, "address2", c.Address.Address2)
		add(address, "city", c.Address.City)
		add(address, "state", c.Address.State)
		add(address, "postal", c.Address.Postal)
		add(address, "country", c.Address.Country)
		fields["address"] = address
	}
	return fields
}

// ProjectCodes returns the codes of the projects that a transaction designates shares to, in the order of its designations.
func ProjectCodes(transaction []byte) ([]string, error) {
	var body struct {
		Designations     []struct{ Code string }
		GiftDesignations []struct{ ProjectCode string }
	}
	if err := decode(transaction, &body); err != nil {
		return nil, fmt.Errorf("decode transaction: %w", err)
	}
	codes := make([]string, 0, len(body.Designations)+len(body.GiftDesignations))
	for _, one := range body.Designations {
		codes = append(codes, one.Code)
	}
	for _, one := range body.GiftDesignations {
		codes = append(codes, one.ProjectCode)
	}
	return codes, nil
}
