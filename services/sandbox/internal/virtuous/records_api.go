package virtuous

import (
	"net/http"
	"strings"
	"time"

	"rollcall.dev/services/sandbox/internal/gifts"
)

func (a *API) showGift(c *call) {
	found := c.o.Gift(c.id())
	if found == nil || found.Deleted {
		c.notFound("Gift with id " + c.r.PathValue("id"))
		return
	}
	c.json(GiftRecord(c.o, found, Single))
}

// lookUpGift finds a gift by the reference of its transaction. What is held is not found, unless the settings say that it is
// shown as a transaction: one vendor document says so, against all others.
func (a *API) lookUpGift(c *call) {
	source, id := c.r.PathValue("source"), c.r.PathValue("id")
	found := c.o.GiftOf(source, id)
	late := time.Duration(c.is.Settings.IndexSeconds) * time.Second
	if found != nil && !found.Deleted && (late == 0 || !c.now.Before(found.Created.Add(late))) {
		c.json(GiftRecord(c.o, found, Single))
		return
	}
	held := c.o.Transaction(source, id)
	if held != nil && c.is.Settings.HeldLookup == "transaction" && held.GiftID == 0 && held.State != gifts.Discarded {
		c.json(map[string]any{
			"transactionSource": held.Source, "transactionId": held.ID, "status": "Pending", "amount": held.Gift.Amount,
			"giftDate": held.Gift.Date + "T00:00:00", "giftType": held.Gift.Type,
		})
		return
	}
	c.notFound("Gift with transaction id " + id)
}

func (a *API) giftsOfContact(c *call) {
	var given []*gifts.Gift
	for _, gift := range c.o.Gifts() {
		if gift.ContactID == c.id() && !gift.Deleted {
			given = append(given, gift)
		}
	}
	c.body = nil
	answerQuery(c, queryOf[*gifts.Gift]{columns: a.giftColumns(c), all: given, row: func(g *gifts.Gift) any { return shortGift(c.o, g) }})
}

func (a *API) showContact(c *call) { a.answerContact(c, c.o.Contact(c.id())) }

// lookUpContact finds a contact by a reference. What is held is not found, unless the settings say that it is shown, as for gifts.
func (a *API) lookUpContact(c *call) {
	source, id := c.r.PathValue("source"), c.r.PathValue("id")
	found := c.o.ContactOf(source, id)
	held := c.o.HeldContact(source, id)
	if found == nil && held != nil && c.is.Settings.HeldLookup == "transaction" && held.ContactID == 0 && held.State != gifts.Discarded {
		c.json(map[string]any{"referenceSource": held.Source, "referenceId": held.ID, "status": "Pending"})
		return
	}
	a.answerContact(c, found)
}

// findContact finds a contact by an email address or by a reference in the query.
func (a *API) findContact(c *call) {
	query := c.r.URL.Query()
	if email := query.Get("email"); email != "" {
		for _, contact := range c.o.Contacts() {
			if strings.EqualFold(contact.Email(), email) && !contact.Archived {
				a.answerContact(c, contact)
				return
			}
		}
		c.notFound("Contact")
		return
	}
	a.answerContact(c, c.o.ContactOf(query.Get("referenceSource"), query.Get("referenceId")))
}

func (a *API) answerContact(c *call, found *gifts.Contact) {
	if found == nil {
		c.notFound("Contact with id " + c.r.PathValue("id"))
		return
	}
	c.json(ContactRecord(c.o, found, Single, c.now))
}

func (a *API) giftColumns(c *call) []column[*gifts.Gift] {
	zone := c.o.Zone()
	columns := []column[*gifts.Gift]{
		{name: "Gift Id", kind: kindInt, sorts: []string{"Id", "Gift Id"}, id: true, cells: func(g *gifts.Gift) []cell { return oneNumber(g.ID) }},
		{name: "Transaction Source", kind: kindText, cells: func(g *gifts.Gift) []cell { return oneText(g.Source) }},
		{name: "Transaction Id", kind: kindText, cells: func(g *gifts.Gift) []cell { return oneText(g.TransactionID) }},
		{name: "Create Date", kind: kindDay, sorts: []string{"Create Date"}, cells: func(g *gifts.Gift) []cell { return oneDay(g.Created, zone) }},
		{name: "Last Modified Date", kind: kindDay, sorts: []string{"Last Modified Date", "modifiedDateTimeUtc"},
			cells: func(g *gifts.Gift) []cell { return oneDay(g.Modified, zone) }, order: func(g *gifts.Gift) []cell { return oneInstant(g.Modified) }},
		{name: "Create DateTime UTC", kind: kindInstant, sorts: []string{"Create DateTime UTC"},
			cells: func(g *gifts.Gift) []cell { return oneInstant(g.Created) }},
		{name: "Last Modified DateTime UTC", kind: kindInstant, sorts: []string{"Last Modified DateTime UTC"},
			cells: func(g *gifts.Gift) []cell { return oneInstant(g.Modified) }},
		{name: "Gift Type", kind: kindList, values: giftTypes(), cells: func(g *gifts.Gift) []cell { return oneText(spaced(g.Type)) }},
		{name: "Gift Date", kind: kindDay, sorts: []string{"GiftDate", "Gift Date"}, cells: func(g *gifts.Gift) []cell { return oneText(g.Date) }},
		{name: "Amount", kind: kindDecimal, sorts: []string{"Amount"}, cells: func(g *gifts.Gift) []cell { return oneNumber(int64(g.Amount)) }},
		{name: "Currency Code", kind: kindList, values: []string{"CAD", "EUR", "GBP", "JPY", "KWD", "USD"},
			cells: func(g *gifts.Gift) []cell { return oneText(g.Currency) }},
		{name: "Batch", kind: kindText, sorts: []string{"Batch"}, cells: func(g *gifts.Gift) []cell { return oneText(g.Batch) }},
		{name: "Project Id", kind: kindInt, cells: func(g *gifts.Gift) []cell {
			return projectCells(c.o, g, func(p *gifts.Project) cell { return cell{number: p.ID, isSet: true} })
		}},
		{name: "Project Code", kind: kindText, cells: func(g *gifts.Gift) []cell {
			return projectCells(c.o, g, func(p *gifts.Project) cell { return cell{text: p.Code, isSet: true} })
		}},
		{name: "Contact Id", kind: kindInt, sorts: []string{"Contact Id"}, cells: func(g *gifts.Gift) []cell { return oneNumber(g.ContactID) }},
		{name: "Contact Archived", kind: kindBool, cells: func(g *gifts.Gift) []cell {
			contact := c.o.Contact(g.ContactID)
			return oneBool(contact != nil && contact.Archived)
		}},
	}
	return withoutUTC(c, columns)
}

func projectCells(o *gifts.Organisation, g *gifts.Gift, of func(*gifts.Project) cell) []cell {
	var cells []cell
	for _, d := range g.Designations {
		if project := o.Project(d.ProjectID); project != nil {
			cells = append(cells, of(project))
		}
	}
	return cells
}

func (a *API) contactColumns(c *call) []column[*gifts.Contact] {
	zone := c.o.Zone()
	columns := []column[*gifts.Contact]{
		{name: "Contact Id", kind: kindInt, sorts: []string{"Id", "Contact Id"}, id: true, cells: func(o *gifts.Contact) []cell { return oneNumber(o.ID) }},
		{name: "Contact Name", kind: kindText, sorts: []string{"Name", "Contact Name", "Last Name"}, cells: func(o *gifts.Contact) []cell { return oneText(o.Name) }},
		{name: "Contact Type", kind: kindList, values: []string{"Foundation", "Household", "Organization"},
			cells: func(o *gifts.Contact) []cell { return oneText(o.Type) }},
		{name: "Email Address", kind: kindText, cells: func(o *gifts.Contact) []cell { return oneText(o.Email()) }},
		{name: "Contact Archived", kind: kindBool, cells: func(o *gifts.Contact) []cell { return oneBool(o.Archived) }},
		{name: "Create Date", kind: kindDay, sorts: []string{"Create Date"}, cells: func(o *gifts.Contact) []cell { return oneDay(o.Created, zone) }},
		{name: "Last Modified Date", kind: kindDay, sorts: []string{"Last Modified Date", "modifiedDateTimeUtc"},
			cells: func(o *gifts.Contact) []cell { return oneDay(o.Modified, zone) }, order: func(o *gifts.Contact) []cell { return oneInstant(o.Modified) }},
		{name: "Create DateTime UTC", kind: kindInstant, sorts: []string{"Create DateTime UTC"},
			cells: func(o *gifts.Contact) []cell { return oneInstant(o.Created) }},
		{name: "Last Modified DateTime UTC", kind: kindInstant, sorts: []string{"Last Modified DateTime UTC"},
			cells: func(o *gifts.Contact) []cell { return oneInstant(o.Modified) }},
	}
	return withoutUTC(c, columns)
}

func (a *API) queryGifts(c *call) {
	a.queryOfGifts(c, func(g *gifts.Gift) any { return shortGift(c.o, g) })
}

func (a *API) queryFullGifts(c *call) {
	a.queryOfGifts(c, func(g *gifts.Gift) any { return GiftRecord(c.o, g, List) })
}

func (a *API) queryOfGifts(c *call, row func(*gifts.Gift) any) {
	answerQuery(c, queryOf[*gifts.Gift]{
		columns: a.giftColumns(c), all: c.o.Gifts(), row: row, hidden: func(g *gifts.Gift, _ query) bool { return g.Deleted },
	})
}

func (a *API) queryContacts(c *call) {
	a.queryOfContacts(c, func(o *gifts.Contact) any { return shortContact(o) })
}

func (a *API) queryFullContacts(c *call) {
	a.queryOfContacts(c, func(o *gifts.Contact) any { return ContactRecord(c.o, o, List, c.now) })
}

func (a *API) queryOfContacts(c *call, row func(*gifts.Contact) any) {
	answerQuery(c, queryOf[*gifts.Contact]{
		columns: a.contactColumns(c), all: c.o.Contacts(), row: row,
		hidden: func(o *gifts.Contact, q query) bool { return o.Archived && !q.IncludeArchived },
	})
}

func (a *API) giftOptions(c *call) { c.json(optionsOf(c, a.giftColumns(c))) }

func (a *API) contactOptions(c *call) { c.json(optionsOf(c, a.contactColumns(c))) }

func giftTypes() []string {
	return []string{
		"Cash", "Check", "Credit", "EFT", "Electronic Funds Transfer", "NonCash", "Non-Cash", "Stock", "Other", "Cryptocoin", "PayPal",
		"Qualified Charitable Distribution", "Reversing Transaction",
	}
}

// gatewayTimeout is how a proxy answers for a query that takes too long.
func (c *call) gatewayTimeout() {
	c.refuse(refusal{status: http.StatusGatewayTimeout, shape: "html"})
}
