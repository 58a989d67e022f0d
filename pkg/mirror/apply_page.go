package mirror

import (
	"context"
	"errors"
	"fmt"

	"rollcall.dev/pkg/destination"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/telemetry"
	"rollcall.dev/pkg/vomo"
)

// Apply compares a page, writes it to the destination and commits it.
func (l *Lane) Apply(ctx context.Context, page vomo.Page, options ApplyOptions,
	onCommit func(ctx context.Context, tx *store.Tx, outcome Outcome) error,
) (Outcome, error) {
	compared, err := l.Compare(ctx, []vomo.Page{page}, options)
	if err != nil {
		return Outcome{}, err
	}
	written, err := compared.Write(ctx)
	if err != nil {
		return Outcome{}, err
	}
	return written.Commit(ctx, onCommit)
}

// ComparedPage is a page, or several as one, of which it is known which records have to be written.
type ComparedPage struct {
	lane    *Lane
	page    vomo.Page
	options ApplyOptions
	plan    pagePlan
}

// Page returns the page as it was compared.
func (p *ComparedPage) Page() vomo.Page { return p.page }

// WrittenPage is a page written to the destination but not yet committed.
type WrittenPage struct {
	lane    *Lane
	number  int
	options ApplyOptions
	changes pageChanges
}

// Compare finds out which records of a page have to be written. Several pages are written and committed as one.
//
// Earlier pages may be written and committed at the same time if no two of them share a user: Compare compares the page with
// committed state only.
func (l *Lane) Compare(ctx context.Context, pages []vomo.Page, options ApplyOptions) (*ComparedPage, error) {
	page := joined(pages)
	comparing, span := telemetry.Start(ctx, telemetry.SpanCompare)
	plan, err := l.planPage(comparing, page, l.seenOf(pages), options)
	span.End(err)
	if err != nil {
		return nil, fmt.Errorf("compare page %d: %w", page.Number, err)
	}
	return &ComparedPage{lane: l, page: page, options: options, plan: plan}, nil
}

// joined returns pages as one, which has the number and the time of the first.
func joined(pages []vomo.Page) vomo.Page {
	if len(pages) == 1 {
		return pages[0]
	}
	all := pages[len(pages)-1]
	all.Number, all.Date, all.Users, all.Bad = pages[0].Number, pages[0].Date, nil, nil
	for _, page := range pages {
		all.Users, all.Bad = append(all.Users, page.Users...), append(all.Bad, page.Bad...)
	}
	return all
}

// Write writes the page to the destination. If it returns an error, the page must not be committed: ErrDestinationDown,
// ErrDestinationThrottled and ErrDestinationAuth mean that the destination failed, store.ErrLaneLost means that another
// worker holds the customer's lane.
func (p *ComparedPage) Write(ctx context.Context) (*WrittenPage, error) {
	l, plan, options := p.lane, p.plan, p.options
	results, err := l.writeRecords(ctx, plan.write, options)
	if err != nil {
		err = fmt.Errorf("write page %d: %w", p.page.Number, err)
		return nil, errors.Join(err, l.commitAccepted(ctx, plan, results, options, err))
	}
	if err := l.sealAnswers(results); err != nil {
		return nil, fmt.Errorf("write page %d: %w", p.page.Number, err)
	}
	written := &WrittenPage{lane: l, number: p.page.Number, options: options, changes: l.collectChanges(plan, results, options)}
	if len(written.changes.newLetters) > 0 {
		l.letterOpened.Store(true) // before the commit: a later page with one of these users is compared after it
	}
	outcome := &written.changes.outcome
	outcome.Seen, outcome.Date = plan.seen, plan.clocks.vomo
	return written, nil
}

// commitAccepted commits the accepted records of a page that ended because the destination asked for a pause or answered
// 403. Without it, each attempt at the page would start with the same records: a destination that accepts ten records a
// minute would never finish a page, and the first page of a customer would never leave a mapped record that shows
// whether a 403 concerns the credentials.
func (l *Lane) commitAccepted(ctx context.Context, plan pagePlan, results []writeResult, options ApplyOptions, cause error) error {
	if !errors.Is(cause, ErrDestinationThrottled) && !errors.Is(cause, destination.ErrForbidden) {
		return nil
	}
	accepted, acceptedResults := pagePlan{clocks: plan.clocks}, []writeResult{}
	for i, result := range results {
		if result.externalID != "" {
			accepted.write, acceptedResults = append(accepted.write, plan.write[i]), append(acceptedResults, result)
		}
	}
	if len(acceptedResults) == 0 {
		return nil
	}
	written := &WrittenPage{lane: l, options: options, changes: l.collectChanges(accepted, acceptedResults, options)}
	_, err := written.Commit(ctx, func(context.Context, *store.Tx, Outcome) error { return nil })
	return err
}

// Commit saves the page in one transaction that also checks the lane: mappings, audit, letters, and what onCommit adds
// (cursor, progress, events). If it returns an error, nothing of the page is committed.
func (p *WrittenPage) Commit(ctx context.Context, onCommit func(ctx context.Context, tx *store.Tx, outcome Outcome) error) (Outcome, error) {
	ctx, span := telemetry.Start(ctx, telemetry.SpanCommit)
	span.Set(telemetry.Written(p.changes.outcome.Written), telemetry.Skipped(p.changes.outcome.Skipped), telemetry.Failed(p.changes.outcome.Failed))
	err := p.lane.Store.InLane(ctx, p.lane.Lease, func(ctx context.Context, tx *store.Tx) error {
		if err := p.lane.saveChanges(ctx, tx, p.changes, p.options); err != nil {
			return err
		}
		return onCommit(ctx, tx, p.changes.outcome)
	})
	span.End(err)
	if err != nil {
		return Outcome{}, fmt.Errorf("commit page %d: %w", p.number, err)
	}
	return p.changes.outcome, nil
}
