package virtuous

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"rollcall.dev/services/sandbox/internal/gifts"
)

// transaction is the body of a gift transaction. Names that no gift shows are accepted and ignored, but kept in the ledger.
type transaction struct {
	TransactionSource  text            `json:"transactionSource"`
	TransactionID      text            `json:"transactionId"`
	Contact            *person         `json:"contact"`
	GiftDate           text            `json:"giftDate"`
	GiftType           text            `json:"giftType"`
	Amount             text            `json:"amount"`
	CurrencyCode       text            `json:"currencyCode"`
	Batch              text            `json:"batch"`
	Notes              text            `json:"notes"`
	Segment            text            `json:"segment"`
	IsPrivate          text            `json:"isPrivate"`
	IsTaxDeductible    text            `json:"isTaxDeductible"`
	CreditCardType     text            `json:"creditCardType"`
	Designations       []share         `json:"designations"`
	GiftDesignations   []share         `json:"giftDesignations"`
	CustomFields       map[string]text `json:"customFields"`
	PassthroughContact *person         `json:"passthroughContact"`
}

type person struct {
	ID          text `json:"id"`
	ReferenceID text `json:"referenceId"`
	Name        text `json:"name"`
	Type        text `json:"type"`
	FirstName   text `json:"firstname"`
	LastName    text `json:"lastname"`
	EmailType   text `json:"emailType"`
	Email       text `json:"email"`
	PhoneType   text `json:"phoneType"`
	Phone       text `json:"phone"`
	Tags        text `json:"tags"`
	Address     struct {
		Address1 text `json:"address1"`
		Address2 text `json:"address2"`
		City     text `json:"city"`
		State    text `json:"state"`
		Postal   text `json:"postal"`
		Country  text `json:"country"`
	} `json:"address"`
}

// share is a designation. Its code has another name in each of the two lists.
type share struct {
	ID               text `json:"id"`
	Code             text `json:"code"`
	ProjectCode      text `json:"projectCode"`
	AmountDesignated text `json:"amountDesignated"`
}

func (p *person) read() gifts.Person {
	id, err := strconv.ParseInt(string(p.ID), 10, 64)
	if err != nil {
		id = 0 // no id that a contact could have
	}
	return gifts.Person{
		ID: id, ReferenceID: string(p.ReferenceID), Name: string(p.Name), Type: string(p.Type),
		FirstName: string(p.FirstName), LastName: string(p.LastName), EmailType: string(p.EmailType), Email: string(p.Email),
		PhoneType: string(p.PhoneType), Phone: string(p.Phone), Address1: string(p.Address.Address1), Address2: string(p.Address.Address2),
		City: string(p.Address.City), State: string(p.Address.State), Postal: string(p.Address.Postal), Country: string(p.Address.Country),
		Tags: string(p.Tags),
	}
}

// submission returns what a transaction asks for, or the problems of its fields.
func (t transaction) submission(c *call, body json.RawMessage) (gifts.Submission, []gifts.Problem) {
	made := gifts.Submission{Source: string(t.TransactionSource), ID: string(t.TransactionID), Body: body}
	problems := t.problems()
	amount, err := gifts.ParseAmount(string(t.Amount))
	if err != nil {
		problems = append(problems, gifts.Problem{Field: "transaction.amount", Code: "INVALID", Text: "Amount is not valid."})
	}
	day, err := parseGiftDate(string(t.GiftDate))
	if err != nil {
		problems = append(problems, gifts.Problem{Field: "transaction.giftDate", Code: "INVALID", Text: "Gift Date is not valid."})
	}
	var wrong []gifts.Problem
	made.Shares, wrong = t.shares(c)
	problems = append(problems, wrong...)
	if t.Contact != nil {
		made.Person = t.Contact.read()
	}
	if t.PassthroughContact != nil {
		through := t.PassthroughContact.read()
		made.Through = &through
	}
	made.Gift = gifts.Gift{
		Type: strings.ReplaceAll(string(t.GiftType), "Reversing Transaction", gifts.Reversal), Date: day, Amount: amount,
		Currency: string(t.CurrencyCode), CardType: string(t.CreditCardType), Batch: string(t.Batch), Segment: string(t.Segment),
		Notes: string(t.Notes), Private: strings.EqualFold(string(t.IsPrivate), "true"),
		TaxDeductible: !strings.EqualFold(string(t.IsTaxDeductible), "false"),
	}
	names := make([]string, 0, len(t.CustomFields))
	for name := range t.CustomFields {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		made.Gift.CustomFields = append(made.Gift.CustomFields, gifts.Field{Name: name, Value: string(t.CustomFields[name])})
	}
	return made, problems
}

// problems returns what is missing or has no meaning.
func (t transaction) problems() []gifts.Problem {
	var problems []gifts.Problem
	required := func(field, label string, given bool) {
		if !given {
			problems = append(problems, gifts.Problem{Field: "transaction." + field, Code: "REQUIRED", Text: label + " is required."})
		}
	}
	required("transactionSource", "Transaction Source", t.TransactionSource != "")
	required("transactionId", "Transaction Id", t.TransactionID != "")
	required("contact", "Contact", t.Contact != nil)
	known := func(name string) bool {
		return strings.EqualFold(strings.ReplaceAll(name, " ", ""), strings.ReplaceAll(string(t.GiftType), " ", ""))
	}
	if !slices.ContainsFunc(giftTypes(), known) {
		problems = append(problems, gifts.Problem{Field: "transaction.giftType", Code: "INVALID", Text: "Gift Type is not valid."})
	}
	return problems
}

// shares returns the designations of the list that the organisation reads.
func (t transaction) shares(c *call) ([]gifts.ProjectShare, []gifts.Problem) {
	list := t.Designations
	switch c.is.Settings.DesignationsField {
	case "giftDesignations":
		list = t.GiftDesignations
	case "both":
		list = append(slices.Clone(t.Designations), t.GiftDesignations...)
	}
	var shares []gifts.ProjectShare
	var problems []gifts.Problem
	for i, one := range list {
		amount, err := gifts.ParseAmount(string(one.AmountDesignated))
		if err != nil {
			field := fmt.Sprintf("transaction.designations[%d].amountDesignated", i)
			problems = append(problems, gifts.Problem{Field: field, Code: "INVALID", Text: "Amount Designated is not valid."})
		}
		code := string(one.Code) + string(one.ProjectCode)
		if id, err := strconv.ParseInt(string(one.ID), 10, 64); err == nil && code == "" {
			if project := c.o.Project(id); project != nil {
				code = project.Code
			}
		}
		shares = append(shares, gifts.ProjectShare{Code: code, Amount: amount})
	}
	return shares, problems
}

// parseGiftDate reads the day of a gift in the forms that clients send. Of an instant only the digits of the date count.
func parseGiftDate(value string) (string, error) {
	date, _, _ := strings.Cut(value, "T")
	for _, form := range []string{gifts.Day, "1/2/2006", "1.2.2006"} {
		if day, err := time.Parse(form, date); err == nil {
			return day.Format(gifts.Day), nil
		}
	}
	return "", errValue
}

func (a *API) submit(c *call) {
	var asked transaction
	if err := decode(c.body, &asked); err != nil {
		c.invalid("transaction", "INVALID", "The transaction is not valid.")
		return
	}
	if problems := c.submit(c.body, asked); problems != nil {
		c.refuse(*problems)
		return
	}
	c.done()
}

// submit submits one transaction, and returns the refusal or nil.
func (c *call) submit(body json.RawMessage, asked transaction) *refusal {
	submission, problems := asked.submission(c, body)
	if len(problems) > 0 {
		return &refusal{status: http.StatusBadRequest, problems: problems}
	}
	return c.refusalOf(c.o.Submit(c.now, submission))
}

func (c *call) refusalOf(err error) *refusal {
	if err == nil {
		return nil
	}
	if errors.Is(err, gifts.ErrExists) || errors.Is(err, gifts.ErrContactExists) {
		return &refusal{
			status: c.is.Settings.RepeatStatus, code: "CONFLICT", shape: c.is.Settings.RepeatShape, message: err.Error(),
			problems: []gifts.Problem{{Field: "transaction", Code: "CONFLICT", Text: err.Error()}},
		}
	}
	if refused, found := errors.AsType[*gifts.Refusal](err); found {
		return &refusal{status: http.StatusBadRequest, problems: refused.Problems}
	}
	return &refusal{status: http.StatusInternalServerError}
}

// batch is the body of many transactions. It has their source.
type batch struct {
	TransactionSource text              `json:"transactionSource"`
	Transactions      []json.RawMessage `json:"transactions"`
	CreateImport      text              `json:"createImport"`
	Batch             text              `json:"batch"`
	DefaultGiftDate   text              `json:"defaultGiftDate"`
	DefaultGiftType   text              `json:"defaultGiftType"`
}

// submitMany accepts all transactions or, if the settings say so, those that are valid. Nothing public says what one invalid
// transaction does to the others.
func (a *API) submitMany(c *call) {
	var asked batch
	if err := decode(c.body, &asked); err != nil || len(asked.Transactions) == 0 {
		c.invalid("transactions", "INVALID", "The transactions are not valid.")
		return
	}
	all := make([]gifts.Submission, 0, len(asked.Transactions))
	var refused *refusal
	for i, body := range asked.Transactions {
		submission, problems := asked.submission(c, body)
		if len(problems) > 0 {
			for j := range problems {
				problems[j].Field = strings.Replace(problems[j].Field, "transaction", fmt.Sprintf("transactions[%d]", i), 1)
			}
			refused = &refusal{status: http.StatusBadRequest, problems: problems}
			continue
		}
		all = append(all, submission)
	}
	switch {
	case c.is.Settings.Batches == "each":
		for _, one := range all {
			if why := c.refusalOf(c.o.Submit(c.now, one)); why != nil {
				refused = why
			}
		}
	case refused == nil:
		refused = c.refusalOf(c.o.Submit(c.now, all...))
	}
	if refused != nil {
		c.refuse(*refused)
		return
	}
	if strings.EqualFold(string(asked.CreateImport), "true") {
		c.o.Bundle(c.now, string(asked.TransactionSource))
	}
	c.done()
}

func (b batch) submission(c *call, body json.RawMessage) (gifts.Submission, []gifts.Problem) {
	var one transaction
	if err := decode(body, &one); err != nil {
		return gifts.Submission{}, []gifts.Problem{{Field: "transaction", Code: "INVALID", Text: "The transaction is not valid."}}
	}
	for _, missing := range []struct{ into, value *text }{
		{&one.TransactionSource, &b.TransactionSource}, {&one.Batch, &b.Batch}, {&one.GiftDate, &b.DefaultGiftDate},
		{&one.GiftType, &b.DefaultGiftType},
	} {
		if *missing.into == "" {
			*missing.into = *missing.value
		}
	}
	return one.submission(c, body)
}
