package gifts

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"time"
)

// Reversal is the type of a gift that takes another one back.
const Reversal = "ReversingTransaction"

// byHand is the user of changes that the charity's staff makes, and byAPI that of imported transactions.
const (
	byHand = "Pat Office"
	byAPI  = "API"
)

// Gift is one version of a gift. It never changes: a change makes another version.
type Gift struct {
	ID            int64  `json:"id"`
	Source        string `json:"source"` // "" for a gift that was entered by hand
	TransactionID string `json:"transactionId"`
	ContactID     int64  `json:"contactId"`
	PassthroughID int64  `json:"passthroughId"` // 0: none
	IndividualID  int64  `json:"individualId"`
	Type          string `json:"giftType"`
	Date          string `json:"giftDate"` // the organisation's day
	Amount        Amount `json:"amount"`
	Currency      string `json:"currencyCode"`
	CardType      string `json:"creditCardType"`
	Batch         string `json:"batch"`
	Segment       string `json:"segment"`
	Notes         string `json:"notes"`
	Private       bool   `json:"isPrivate"`
	TaxDeductible bool   `json:"isTaxDeductible"`

	Designations []Designation `json:"designations"`
	CustomFields []Field       `json:"customFields"`

	Version    int       `json:"version"` // changes so far
	Created    time.Time `json:"created"`
	CreatedBy  string    `json:"createdBy"`
	Modified   time.Time `json:"modified"`
	ModifiedBy string    `json:"modifiedBy"`
	ReversalOf int64     `json:"reversalOf"` // 0: it is no reversal
	ReversedBy int64     `json:"reversedBy"` // 0: it is live
	Deleted    bool      `json:"deleted"`
}

// Designation is a part of a gift, for one project.
type Designation struct {
	ID        int64  `json:"id"`
	ProjectID int64  `json:"projectId"`
	Amount    Amount `json:"amount"`
}

// Field is a custom field.
type Field struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// State returns live, reversed or deleted.
func (g *Gift) State() string {
	switch {
	case g.Deleted:
		return "deleted"
	case g.ReversedBy != 0:
		return "reversed"
	}
	return "live"
}

// key names the gift's version, by the transaction that it came from if there is one.
func (g *Gift) key() string {
	if g.TransactionID != "" {
		return "gift " + g.Source + "/" + g.TransactionID + " " + strconv.Itoa(g.Version)
	}
	return "gift " + strconv.FormatInt(g.ID, 10) + " " + strconv.Itoa(g.Version)
}

// Gift returns the newest version of a gift, also of a deleted one, or nil.
func (o *Organisation) Gift(id int64) *Gift {
	o.mu.RLock()
	defer o.mu.RUnlock()
	return o.gift(id)
}

func (o *Organisation) gift(id int64) *Gift {
	i, found := slices.BinarySearchFunc(o.s.Gifts, id, func(g *Gift, id int64) int { return cmp.Compare(g.ID, id) })
	if !found {
		return nil
	}
	return o.s.Gifts[i]
}

// Gifts returns all gifts, also the deleted ones, by id.
func (o *Organisation) Gifts() []*Gift {
	o.mu.RLock()
	defer o.mu.RUnlock()
	return slices.Clone(o.s.Gifts)
}

// GiftOf returns the gift of a transaction, or nil. The letter case of the source does not matter.
func (o *Organisation) GiftOf(source, transactionID string) *Gift {
	o.mu.RLock()
	defer o.mu.RUnlock()
	return o.gift(o.giftOf[referenceTo(source, transactionID)])
}

// GiftEdit is what /control changes in a gift. A nil pointer changes nothing.
type GiftEdit struct {
	ContactID    *int64         `json:"contactId"`
	Type         *string        `json:"giftType"`
	Date         *string        `json:"giftDate"`
	Amount       *Amount        `json:"amount"`
	Currency     *string        `json:"currencyCode"`
	Notes        *string        `json:"notes"`
	Designations []ProjectShare `json:"designations"` // none: all of a new amount goes to the first project of before
	CustomFields []Field        `json:"customFields"`

	Source        *string `json:"transactionSource"`
	TransactionID *string `json:"transactionId"`

	Modified *time.Time `json:"modifiedAt"` // missing: now
}

// ProjectShare is a designation by the project's code.
type ProjectShare struct {
	Code   string `json:"code"`
	Amount Amount `json:"amount"`
}

// AddGift enters a gift by hand, as the charity's staff do. What the request leaves out is invented.
func (o *Organisation) AddGift(now time.Time, edit GiftEdit) (*Gift, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.advance(now)
	added := &Gift{
		ID: o.s.Next.Gift, Type: "Check", Date: now.In(o.zone).Format(Day), Currency: o.s.Settings.Currency, TaxDeductible: true,
		Amount: Amount(10_000 * (5 + int64(o.draw("amount", strconv.FormatInt(o.s.Next.Gift, 10))*200))),
	}
	if err := o.apply(added, edit); err != nil {
		return nil, err
	}
	if edit.ContactID == nil {
		added.ContactID = o.inventedContact(now)
	}
	if len(added.Designations) == 0 {
		added.Designations = []Designation{{ID: o.nextDesignation(), ProjectID: o.s.Projects[0].ID, Amount: added.Amount}}
	}
	return o.keepNew(now, added, byHand), nil
}

// keepNew stores a new gift.
func (o *Organisation) keepNew(now time.Time, added *Gift, user string) *Gift {
	o.s.Next.Gift++
	added.Version, added.CreatedBy, added.ModifiedBy = 1, user, user
	added.Created = o.stamp(now, "gift created "+strconv.FormatInt(added.ID, 10), time.Time{})
	added.Modified = o.stamp(now, "gift "+strconv.FormatInt(added.ID, 10), time.Time{})
	if added.Modified.Before(added.Created) {
		added.Modified = added.Created
	}
	o.s.Gifts = append(o.s.Gifts, added)
	o.giveTo(added.ContactID, added)
	if added.TransactionID != "" {
		o.giftOf[referenceTo(added.Source, added.TransactionID)] = added.ID
	}
	o.emit(GiftCreate, added.Modified, added, nil)
	o.changes++
	return added
}

// EditGift changes a gift. Errors: ErrUnknown, also for a deleted gift; ErrInvalid.
func (o *Organisation) EditGift(now time.Time, id int64, edit GiftEdit) (*Gift, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.advance(now)
	before := o.gift(id)
	if before == nil || before.Deleted {
		return nil, fmt.Errorf("gift %d: %w", id, ErrUnknown)
	}
	after := *before
	if err := o.apply(&after, edit); err != nil {
		return nil, err
	}
	return o.replace(now, &after, edit.Modified, GiftUpdate), nil
}

// replace stores a version of a gift in the place of the previous one.
func (o *Organisation) replace(now time.Time, after *Gift, modified *time.Time, what string) *Gift {
	i, _ := slices.BinarySearchFunc(o.s.Gifts, after.ID, func(g *Gift, id int64) int { return cmp.Compare(g.ID, id) })
	before := o.s.Gifts[i]
	after.Version = before.Version + 1
	after.ModifiedBy = byHand
	if modified != nil {
		after.Modified = modified.UTC().Truncate(100 * time.Nanosecond)
	} else {
		after.Modified = o.stamp(now, "gift "+strconv.FormatInt(after.ID, 10), before.Modified)
	}
	o.s.Gifts[i] = after
	o.giveTo(after.ContactID, after)
	if from, to := referenceTo(before.Source, before.TransactionID), referenceTo(after.Source, after.TransactionID); from != to {
		if o.giftOf[from] == after.ID {
			delete(o.giftOf, from)
		}
		if after.TransactionID != "" {
			o.giftOf[to] = after.ID
		}
	}
	if what != "" {
		o.emit(what, after.Modified, after, nil)
	}
	o.changes++
	return after
}

// apply sets the fields that an edit has.
func (o *Organisation) apply(g *Gift, edit GiftEdit) error {
	if edit.ContactID != nil {
		if o.contact(*edit.ContactID) == nil {
			return fmt.Errorf("contact %d: %w", *edit.ContactID, ErrUnknown)
		}
		g.ContactID = *edit.ContactID
	}
	if edit.Date != nil {
		if _, err := time.Parse(Day, *edit.Date); err != nil {
			return fmt.Errorf("giftDate: %w", ErrInvalid)
		}
	}
	set(&g.Type, edit.Type)
	set(&g.Date, edit.Date)
	set(&g.Currency, edit.Currency)
	set(&g.Notes, edit.Notes)
	set(&g.Source, edit.Source)
	set(&g.TransactionID, edit.TransactionID)
	if edit.CustomFields != nil {
		g.CustomFields = slices.Clone(edit.CustomFields)
	}
	return o.applyAmount(g, edit)
}

func (o *Organisation) applyAmount(g *Gift, edit GiftEdit) error {
	if edit.Amount != nil {
		g.Amount = *edit.Amount
		if len(g.Designations) > 0 {
			first := g.Designations[0]
			g.Designations = []Designation{{ID: first.ID, ProjectID: first.ProjectID, Amount: g.Amount}}
		}
	}
	if edit.Designations == nil {
		return nil
	}
	g.Designations = nil
	for _, share := range edit.Designations {
		project := o.project(share.Code)
		if project == nil {
			return fmt.Errorf("project %s: %w", share.Code, ErrUnknown)
		}
		g.Designations = append(g.Designations, Designation{ID: o.nextDesignation(), ProjectID: project.ID, Amount: share.Amount})
	}
	return nil
}

func set[T any](into, value *T) {
	if value != nil {
		*into = *value
	}
}

// DeleteGift deletes a gift. Errors: ErrUnknown.
func (o *Organisation) DeleteGift(now time.Time, id int64) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.advance(now)
	before := o.gift(id)
	if before == nil || before.Deleted {
		return fmt.Errorf("gift %d: %w", id, ErrUnknown)
	}
	after := *before
	after.Deleted = true
	o.replace(now, &after, nil, GiftDelete)
	return nil
}

// RestoreGift undoes a deletion. Virtuous documents no event for it, so there is none. Errors: ErrUnknown.
func (o *Organisation) RestoreGift(now time.Time, id int64) (*Gift, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.advance(now)
	before := o.gift(id)
	if before == nil || !before.Deleted {
		return nil, fmt.Errorf("deleted gift %d: %w", id, ErrUnknown)
	}
	after := *before
	after.Deleted = false
	return o.replace(now, &after, nil, ""), nil
}

// ReverseGift enters a gift that takes another one back. The reversed gift gets no new version: only the reversal is an
// event. Errors: ErrUnknown; ErrTaken if it is reversed already.
func (o *Organisation) ReverseGift(now time.Time, id int64, notes string) (*Gift, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.advance(now)
	reversed := o.gift(id)
	switch {
	case reversed == nil || reversed.Deleted:
		return nil, fmt.Errorf("gift %d: %w", id, ErrUnknown)
	case reversed.ReversedBy != 0:
		return nil, fmt.Errorf("reversal of gift %d: %w", id, ErrTaken)
	}
	added := &Gift{
		ID: o.s.Next.Gift, ContactID: reversed.ContactID, Type: Reversal, Date: now.In(o.zone).Format(Day), Amount: -reversed.Amount,
		Currency: reversed.Currency, Notes: notes, TaxDeductible: reversed.TaxDeductible, ReversalOf: id,
	}
	for _, d := range reversed.Designations {
		added.Designations = append(added.Designations, Designation{ID: o.nextDesignation(), ProjectID: d.ProjectID, Amount: -d.Amount})
	}
	marked := *reversed
	marked.ReversedBy = added.ID
	i, _ := slices.BinarySearchFunc(o.s.Gifts, id, func(g *Gift, id int64) int { return cmp.Compare(g.ID, id) })
	o.s.Gifts[i] = &marked
	return o.keepNew(now, added, byHand), nil
}

func (o *Organisation) nextDesignation() int64 {
	o.s.Next.Designation++
	return o.s.Next.Designation - 1
}
