package control

import (
	"net/http"

	"rollcall.dev/services/sandbox/internal/answer"
	"rollcall.dev/services/sandbox/internal/gifts"
	"rollcall.dev/services/sandbox/internal/virtuous"
)

// givingLedger counts what exists. The lists beside it have the single records.
type givingLedger struct {
	Transactions        transactionCounts `json:"transactions"` // of gifts
	ContactTransactions transactionCounts `json:"contactTransactions"`
	Gifts               struct {
		All           int `json:"all"`
		Live          int `json:"live"`
		Reversed      int `json:"reversed"`
		Deleted       int `json:"deleted"`
		OfTransaction int `json:"ofTransactions"`
		ByHand        int `json:"byHand"`
	} `json:"gifts"`
	Contacts struct {
		All      int `json:"all"`
		Archived int `json:"archived"`
		Merged   int `json:"merged"`
	} `json:"contacts"`
	Imports struct {
		All     int `json:"all"`
		Waiting int `json:"waiting"`
	} `json:"imports"`
	Events struct {
		All         int `json:"all"`
		Lost        int `json:"lost"`
		Doubled     int `json:"doubled"`
		Delivered   int `json:"delivered"`   // accepted at least once
		Undelivered int `json:"undelivered"` // all of their deliveries were given up
		Waiting     int `json:"waiting"`
	} `json:"events"`
	Quota virtuous.QuotaReport `json:"quota"`
}

// transactionCounts are the transactions of an entity by state.
type transactionCounts struct {
	Accepted    int `json:"accepted"`
	Held        int `json:"held"`
	Bundled     int `json:"bundled"`
	NeedsUpdate int `json:"needsUpdate"`
	Imported    int `json:"imported"`
	Discarded   int `json:"discarded"`
	Repeats     int `json:"repeats"` // refused because they exist
}

func (n *transactionCounts) add(t *gifts.Transaction) {
	n.Accepted++
	n.Repeats += t.Repeats
	*map[string]*int{
		gifts.Held: &n.Held, gifts.Bundled: &n.Bundled, gifts.NeedsUpdate: &n.NeedsUpdate, gifts.Imported: &n.Imported, gifts.Discarded: &n.Discarded,
	}[t.State]++
}

func (a *API) showLedger(w http.ResponseWriter, _ *http.Request, o *gifts.Organisation) {
	var ledger givingLedger
	for _, t := range o.Transactions() {
		if t.Entity == gifts.EntityContact {
			ledger.ContactTransactions.add(t)
		} else {
			ledger.Transactions.add(t)
		}
	}
	ledger.countGifts(o.Gifts())
	for _, c := range o.Contacts() {
		ledger.Contacts.All++
		ledger.Contacts.Archived += count(c.Archived)
		ledger.Contacts.Merged += count(c.MergedInto != 0)
	}
	for _, i := range o.Imports() {
		ledger.Imports.All++
		ledger.Imports.Waiting += count(i.RanAt == nil)
	}
	for _, f := range o.Fates() {
		ledger.Events.All++
		ledger.Events.Lost += count(f.Lost)
		ledger.Events.Doubled += count(f.Copies > 1)
		ledger.Events.Delivered += count(f.Delivered > 0)
		ledger.Events.Undelivered += count(f.Failed > 0 && f.Failed == f.Copies)
		ledger.Events.Waiting += count(!f.Lost && f.Delivered+f.Failed < max(1, f.Copies))
	}
	ledger.Quota = a.Virtuous.Quotas.Report(o.Identity().Name, a.Clock.Now())
	answer.JSON(w, http.StatusOK, ledger)
}

func (l *givingLedger) countGifts(all []*gifts.Gift) {
	for _, g := range all {
		l.Gifts.All++
		l.Gifts.Live += count(g.State() == "live")
		l.Gifts.Reversed += count(g.State() == "reversed")
		l.Gifts.Deleted += count(g.Deleted)
		l.Gifts.OfTransaction += count(g.TransactionID != "")
		l.Gifts.ByHand += count(g.TransactionID == "" && g.ReversalOf == 0)
	}
}

func count(is bool) int {
	if is {
		return 1
	}
	return 0
}

// transactionView is a transaction with what became of its gift.
type transactionView struct {
	*gifts.Transaction

	GiftState string `json:"giftState,omitempty"` // live, reversed or deleted
}

func viewsOfTransactions(o *gifts.Organisation, all []*gifts.Transaction) []transactionView {
	views := make([]transactionView, 0, len(all))
	for _, t := range all {
		view := transactionView{Transaction: t}
		if gift := o.Gift(t.GiftID); gift != nil {
			view.GiftState = gift.State()
		}
		views = append(views, view)
	}
	return views
}

func (a *API) dumpTransactions(w http.ResponseWriter, r *http.Request, o *gifts.Organisation) {
	dumpAll(w, r, viewsOfTransactions(o, o.Transactions()))
}

func (a *API) dumpImports(w http.ResponseWriter, r *http.Request, o *gifts.Organisation) {
	dumpAll(w, r, o.Imports())
}

func (a *API) dumpGifts(w http.ResponseWriter, r *http.Request, o *gifts.Organisation) {
	views := []giftView{}
	for _, g := range o.Gifts() {
		views = append(views, viewOfGift(g))
	}
	dumpAll(w, r, views)
}

func (a *API) dumpContacts(w http.ResponseWriter, r *http.Request, o *gifts.Organisation) {
	dumpAll(w, r, o.Contacts())
}

func (a *API) dumpProjects(w http.ResponseWriter, r *http.Request, o *gifts.Organisation) {
	dumpAll(w, r, o.Projects())
}

func (a *API) dumpSubscriptions(w http.ResponseWriter, r *http.Request, o *gifts.Organisation) {
	dumpAll(w, r, o.Subscriptions())
}

func (a *API) dumpEvents(w http.ResponseWriter, r *http.Request, o *gifts.Organisation) {
	dumpAll(w, r, o.Fates())
}

func dumpAll[T any](w http.ResponseWriter, r *http.Request, all []T) {
	dump(w, r, func(line func(any) error) error {
		for _, one := range all {
			if err := line(one); err != nil {
				return err
			}
		}
		return nil
	})
}
