package giving

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.uber.org/zap"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/connector"
	"rollcall.dev/pkg/giving/hold"
	"rollcall.dev/pkg/giving/inbound"
	"rollcall.dev/pkg/round"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/virtuous"
	"rollcall.dev/services/reconciler/internal/deletion"
)

// Job is the name of a round in job_log; requests to Virtuous are counted under it, too.
const Job = "giving_reconciliation"

const (
	// scheduleAtOnce is the largest number of customers that one transaction schedules.
	scheduleAtOnce = 100
	// dueAtOnce is how many due categories one look finds.
	dueAtOnce = 1000
	// turn is how long a customer keeps the lane and a slot: others, and the customer's donations, wait for them.
	turn = 15 * time.Second
)

// Reconciler works the categories that are due.
type Reconciler struct {
	Store    *store.Store
	Logger   *zap.Logger
	Virtuous *connector.Virtuous
	Inbound  *inbound.Applier
	Every    time.Duration                                        // between two scheduled reconciliations of a customer
	Guard    deletion.Guard                                       // what a search for deleted gifts marks without an operator's approval
	Sleep    func(ctx context.Context, pause time.Duration) error // between two tries of a rejected key
	Turn     time.Duration                                        // of a customer; 0: turn

	reached func(place string) error // is called between two effects, so that a test can end there; or nil
}

// asking returns the categories that ask Virtuous in each scheduled run, in the order in which those that are due together are worked: a lookup
// by stuck spares needs_update one.
func asking() []string {
	return []string{bus.CategoryStuck, bus.CategoryNeedsUpdate, bus.CategoryMissedWebhook}
}

// inRounds returns the categories that rounds work.
func inRounds() []string {
	return append(asking(), bus.CategoryContactChanges, bus.CategoryGiftDeletions, bus.CategoryDrift)
}

// Kind returns the rounds in which customers are reconciled. A hold is in the table, as for donations: it is Virtuous that both wait for.
func (r *Reconciler) Kind() round.Kind {
	return round.Kind{Job: Job, Lane: store.LaneGiving, Look: r.look, Work: r.work, StoreHold: hold.Store, DeleteHold: r.deleteHold, LookSkipsHeld: true}
}

// Ask makes a category due for a customer, because an operator wants it now.
func Ask(ctx context.Context, tx *store.Tx, customer, category string) error {
	return ask(ctx, tx, []string{customer}, []string{category}, false)
}

func ask(ctx context.Context, tx *store.Tx, customers, wanted []string, scheduled bool) error {
	places := make([]int32, 0, len(wanted))
	for _, category := range wanted {
		places = append(places, int32(slices.Index(bus.GivingCategories(), category))) //nolint:gosec // a few categories
	}
	return tx.AskGivingReconciliations(ctx, customers, wanted, places, scheduled)
}

// schedule makes the categories that ask Virtuous due for the customers whose time has come; more reports that there may be others.
func (r *Reconciler) schedule(ctx context.Context) (more bool, err error) {
	err = r.Store.InTx(ctx, func(ctx context.Context, tx *store.Tx) error {
		due, err := tx.TakeGivingReconcileDue(ctx, r.Every, scheduleAtOnce)
		if err != nil || len(due) == 0 {
			return err
		}
		more = len(due) == scheduleAtOnce
		return ask(ctx, tx, due, asking(), true)
	})
	return more && err == nil, err
}

// scheduleComparisons makes the comparison due for the customers of which a contact waits to be compared.
func (r *Reconciler) scheduleComparisons(ctx context.Context) error {
	return r.Store.InTx(ctx, func(ctx context.Context, tx *store.Tx) error {
		due, err := tx.CustomersWithContactsToCompare(ctx, bus.CategoryContactChanges, scheduleAtOnce)
		if err != nil || len(due) == 0 {
			return err
		}
		return ask(ctx, tx, due, []string{bus.CategoryContactChanges}, false)
	})
}

func (r *Reconciler) look(ctx context.Context) ([]round.Customer, error) {
	for more := true; more; {
		daily, err := r.scheduleDaily(ctx) // first, because it stands for a scheduled one
		if err != nil {
			return nil, err
		}
		others, err := r.schedule(ctx)
		if err != nil {
			return nil, err
		}
		more = daily || others
	}
	if err := r.scheduleComparisons(ctx); err != nil {
		return nil, err
	}
	found, err := r.Store.GivingReconcileCustomers(ctx, dueAtOnce)
	customers := make([]round.Customer, 0, len(found))
	for _, one := range found {
		customers = append(customers, round.Customer{ID: one.ID, RenewedAt: one.RenewedAt})
	}
	return customers, err
}

// pass is the work on one customer in one round.
type pass struct {
	*round.Round
	*Reconciler

	config   store.VirtuousConfig
	client   *virtuous.Client
	keys     *inbound.Keys
	zone     *time.Location
	category string
	began    time.Time
	unclear  int  // answers in a row that say nothing
	answered bool // Virtuous answered a request with the key
}

// work works the customer's due categories in their order.
func (r *Reconciler) work(ctx context.Context, of *round.Round) (more bool, err error) {
	config, err := r.Store.VirtuousConfig(ctx, of.Customer.ID)
	if errors.Is(err, store.ErrNotFound) || err == nil && !config.Enabled {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	p := &pass{Round: of, Reconciler: r, config: config, began: time.Now()}
	for {
		due, err := r.dueOf(ctx, of.Customer.ID)
		if err != nil || len(due) == 0 {
			return false, err
		}
		if p.client == nil {
			if err := p.begin(ctx); err != nil {
				return false, hold.ForReads(err, p.Holds)
			}
		}
		p.category = due[0].Category
		complete, err := p.workCategory(ctx, due[0])
		switch {
		case err != nil:
			if err := p.settle(ctx, due[0], err); err != nil {
				return false, err
			}
		case !complete:
			return true, p.release(ctx, "")
		default:
			if err := p.release(ctx, due[0].Fault); err != nil {
				return false, err
			}
			p.Log.Info("giving reconciled", zap.String("category", p.category), zap.Int("records", p.Worked), zap.Int("failed", p.Failed),
				zap.String("trace", p.TraceID))
		}
		if p.mustEnd(ctx) {
			return true, nil
		}
	}
}

// dueOf returns the customer's due categories in their order. They are read again after each: an operator's request is not to wait for those that
// were due before.
func (r *Reconciler) dueOf(ctx context.Context, customer string) ([]store.GivingReconciliation, error) {
	due, err := r.Store.GivingReconciliations(ctx, customer)
	return slices.DeleteFunc(due, func(one store.GivingReconciliation) bool { return !slices.Contains(inRounds(), one.Category) }), err // a later version's
}

// mustEnd returns whether the round must end after the record in hand: MustEnd says so, or it has had its turn.
func (p *pass) mustEnd(ctx context.Context) bool {
	return p.MustEnd(ctx) || time.Since(p.began) >= cmp.Or(p.Turn, turn)
}

func (p *pass) workCategory(ctx context.Context, one store.GivingReconciliation) (complete bool, err error) {
	switch one.Category {
	case bus.CategoryStuck:
		return p.stuck(ctx, one)
	case bus.CategoryNeedsUpdate:
		return p.needsUpdate(ctx, one)
	case bus.CategoryMissedWebhook:
		return p.missedWebhook(ctx, one)
	case bus.CategoryContactChanges:
		return p.contactChanges(ctx)
	case bus.CategoryGiftDeletions:
		return p.giftDeletions(ctx, one)
	case bus.CategoryDrift:
		return p.drift(ctx, one)
	}
	return false, fmt.Errorf("category %q is not one that asks Virtuous", one.Category)
}

// begin opens Virtuous and the customer's keys.
func (p *pass) begin(ctx context.Context) error {
	before, err := p.Reconciler.Store.GivingHoldOf(ctx, p.Customer.ID)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	p.Holds = before.Holds
	if err := p.StartJob(ctx); err != nil {
		return err
	}
	if p.client, err = p.Virtuous.Open(ctx, p.config, p.Lease, Job); err != nil {
		return err
	}
	if p.keys, err = p.Inbound.Keys(ctx, p.Customer.ID); err != nil {
		return err
	}
	p.zone = zoneOf(p.config.TimeZone)
	return nil
}

// at is a place between two effects.
func (r *Reconciler) at(place string) error {
	if r.reached == nil {
		return nil
	}
	return r.reached(place)
}

// inLane runs a transaction in the customer's lane.
func (p *pass) inLane(ctx context.Context, do func(ctx context.Context, tx *store.Tx) error) error {
	if err := p.Reconciler.Store.InLane(ctx, p.Lease, do); err != nil {
		return fmt.Errorf("reconcile %s: %w", p.category, err)
	}
	return nil
}

// log adds rows to the reconciliation log.
func (p *pass) log(ctx context.Context, tx *store.Tx, entries ...store.ReconciliationEntry) error {
	return tx.LogReconciliation(ctx, p.Customer.ID, p.category, p.JobID, p.TraceID, entries...)
}
