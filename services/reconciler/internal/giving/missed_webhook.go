package giving

import (
	"cmp"
	"context"
	"errors"
	"iter"
	"time"

	"go.uber.org/zap"

	"rollcall.dev/pkg/event"
	"rollcall.dev/pkg/giving/inbound"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/virtuous"
)

const (
	// overlap is how long before the start of the last pass the next one reads, because clocks differ and queries know days only.
	overlap = 24 * time.Hour
	// silentAfter is how long there may be no delivery while a pass finds changes that webhooks should have reported.
	silentAfter = 24 * time.Hour
)

// missedProgress is where a pass of missed_webhook goes on.
type missedProgress struct {
	Gifts    queryProgress `json:"gifts"`
	Contacts queryProgress `json:"contacts"`
	Found    int           `json:"found"` // records that were new or changed
}

// queryProgress is where the query of one kind of record stands. A page is committed with it.
type queryProgress struct {
	Since     time.Time `json:"since"`     // what was modified since then is read; zero: the query has not begun
	StartedAt time.Time `json:"startedAt"` // by Virtuous' clock, of the first page
	After     int64     `json:"after"`     // the highest id of the last page
	IsFirst   bool      `json:"isFirst"`   // no pass before it was completed
	Done      bool      `json:"done"`
}

// missedWebhook reads the gifts and contacts that were modified since the last pass, and applies those that no webhook reported.
func (p *pass) missedWebhook(ctx context.Context, one store.GivingReconciliation) (complete bool, err error) {
	progress, err := progressOf[missedProgress](one)
	if err != nil {
		return false, err
	}
	complete, err = query(ctx, p, store.ResourceVirtuousContacts, &progress.Contacts, &progress, p.client.ContactsModifiedSince,
		func(contact virtuous.Contact, at time.Time) inbound.Record {
			return inbound.Record{Contact: &contact, At: at, Read: true}
		})
	if err != nil || !complete {
		return false, err
	}
	complete, err = query(ctx, p, store.ResourceVirtuousGifts, &progress.Gifts, &progress, p.client.GiftsModifiedSince,
		func(gift virtuous.Gift, at time.Time) inbound.Record {
			return inbound.Record{Gift: &gift, At: at, Read: true}
		})
	if err != nil || !complete {
		return false, err
	}
	return true, p.inLane(ctx, func(ctx context.Context, tx *store.Tx) error {
		if err := p.judgeSilence(ctx, tx, progress); err != nil {
			return err
		}
		if err := tx.AdvanceCheckpoint(ctx, p.Customer.ID, store.ResourceVirtuousContacts, progress.Contacts.StartedAt); err != nil {
			return err
		}
		if err := tx.AdvanceCheckpoint(ctx, p.Customer.ID, store.ResourceVirtuousGifts, progress.Gifts.StartedAt); err != nil {
			return err
		}
		if err := tx.NoteReadSince(ctx, p.Customer.ID, latest(progress.Gifts.Since, progress.Contacts.Since)); err != nil {
			return err
		}
		return tx.EndGivingReconciliation(ctx, p.Customer.ID, p.category)
	})
}

func latest(one, other time.Time) time.Time {
	if one.After(other) {
		return one
	}
	return other
}

// query reads one kind of record from its progress on, and commits each page with it.
func query[T any](ctx context.Context, p *pass, resource string, at *queryProgress, all *missedProgress,
	read func(ctx context.Context, since time.Time, after int64) iter.Seq2[virtuous.Page[T], error], recordOf func(T, time.Time) inbound.Record,
) (complete bool, err error) {
	if at.Done {
		return true, nil
	}
	asked, err := p.beginQuery(ctx, resource, at)
	if err != nil {
		return false, err
	}
	for page, err := range read(ctx, at.Since, at.After) {
		if err != nil {
			return false, err
		}
		if at.StartedAt.IsZero() {
			at.StartedAt = startOf(page.Date, asked)
		}
		p.answered = true
		if err := p.at("page_read"); err != nil {
			return false, err
		}
		read := make([]inbound.Record, 0, len(page.Records))
		for _, record := range page.Records {
			read = append(read, recordOf(record, asked))
		}
		records, last, err := p.complete(ctx, read)
		if err != nil {
			return false, err
		}
		at.After = cmp.Or(last, page.Cursor)
		if err := p.applyPage(ctx, records, all); err != nil {
			return false, err
		}
		p.count(resource, len(records), len(page.Bad)+lacking(records))
		if err := p.at("page_committed"); err != nil {
			return false, err
		}
		if last != 0 || len(records) > 0 && p.mustEnd(ctx) { // an empty page is the last one: the query is complete
			return false, nil
		}
		if asked, err = p.Reconciler.Store.Now(ctx); err != nil {
			return false, err
		}
	}
	if at.StartedAt.IsZero() {
		at.StartedAt = asked
	}
	at.Done = true
	return true, p.setProgress(ctx, *all)
}

// beginQuery decides from when on a query reads, unless that is decided, and returns the time.
func (p *pass) beginQuery(ctx context.Context, resource string, at *queryProgress) (now time.Time, err error) {
	if at.Since.IsZero() {
		if at.Since, at.IsFirst, err = p.since(ctx, resource); err != nil {
			return now, err
		}
	}
	return p.Reconciler.Store.Now(ctx)
}

// startOf returns when a pass began: by Virtuous' clock, which the times of modification are of, unless it is ahead of the database's. The
// next pass reads from there on, and with a time in the future it would skip what is changed until then.
func startOf(date, asked time.Time) time.Time {
	if date.IsZero() || date.After(asked) {
		return asked
	}
	return date
}

// count notes how many records of a page were applied, and how many could not be read.
func (p *pass) count(resource string, applied, unreadable int) {
	p.Worked += applied
	p.Failed += unreadable
	if unreadable > 0 {
		p.Log.Warn("records of a page could not be read", zap.String("resource", resource), zap.Int("records", unreadable))
	}
}

// since returns from when on records are read: a day before the start of the last complete pass. The first pass begins with the onboarding,
// or with the day that the settings name; so does the next one if they name an earlier day.
func (p *pass) since(ctx context.Context, resource string) (since time.Time, isFirst bool, err error) {
	since = p.config.OnboardedAt
	if day, err := time.ParseInLocation(time.DateOnly, p.config.GiftsSince, p.zone); err == nil && day.Before(since) {
		since = day
	}
	last, err := p.Reconciler.Store.VirtuousCheckpoint(ctx, p.Customer.ID, resource)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return since, true, nil
	case err != nil:
		return since, false, err
	case p.config.ReadSince != nil && since.Before(*p.config.ReadSince):
		return since, true, nil
	}
	return last.Add(-overlap), false, nil
}

// applyPage applies the records of a page, logs those that were new or changed, and moves the cursor, in one transaction.
func (p *pass) applyPage(ctx context.Context, records []inbound.Record, all *missedProgress) error {
	return p.inLane(ctx, func(ctx context.Context, tx *store.Tx) error {
		outcomes, err := p.Inbound.Apply(ctx, tx, p.keys, p.inboundPass(recoveredByQuery), records)
		if err != nil {
			return err
		}
		var entries []store.ReconciliationEntry
		for _, outcome := range outcomes {
			if outcome.IsApplied() {
				entries = append(entries, store.ReconciliationEntry{
					PlatformID: platformIDOf(outcome), VirtuousID: outcome.ID, Entity: outcome.Entity, Resolution: resolutionApplied, Details: detailsOf(outcome),
				})
			}
		}
		all.Found += len(entries)
		if err := p.log(ctx, tx, entries...); err != nil {
			return err
		}
		return tx.SetGivingProgress(ctx, p.Customer.ID, p.category, *all, p.answered)
	})
}

// platformIDOf returns the donation, or the contact's reference, that a record confirmed; "" if it confirmed none.
func platformIDOf(outcome inbound.Outcome) string {
	if len(outcome.ConfirmedContacts) > 0 {
		return outcome.ConfirmedContacts[0]
	}
	return outcome.Confirmed
}

// judgeSilence raises the alert about a webhook that brings nothing although something happens, and clears it when a delivery came. A first
// pass says nothing: what it finds may be older than the webhook.
func (p *pass) judgeSilence(ctx context.Context, tx *store.Tx, progress missedProgress) error {
	now, err := tx.Now(ctx)
	if err != nil {
		return err
	}
	config, err := tx.VirtuousConfig(ctx, p.Customer.ID) // as it is now: a delivery may have come during the pass
	if err != nil {
		return err
	}
	if last := config.LastWebhookAt; last != nil && now.Sub(*last) < silentAfter {
		return event.Clear(ctx, tx, p.Customer.ID, event.AlertWebhookSilent, "Virtuous delivers webhooks again.")
	}
	if progress.Found == 0 || progress.Gifts.IsFirst || progress.Contacts.IsFirst {
		return nil
	}
	expected, err := tx.ExpectsWebhooks(ctx, p.Customer.ID, silentAfter)
	if err != nil || !expected {
		return err
	}
	return event.Raise(ctx, tx, event.AlertFor(p.Customer.ID, event.AlertWebhookSilent))
}
