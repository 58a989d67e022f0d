package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"rollcall.dev/pkg/connector"
	"rollcall.dev/pkg/deadletter"
	"rollcall.dev/pkg/destination"
	"rollcall.dev/pkg/event"
	"rollcall.dev/pkg/fault"
	"rollcall.dev/pkg/mirror"
	"rollcall.dev/pkg/report"
	"rollcall.dev/pkg/service"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/vomo"
	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

const (
	jobUserResync   = "user_resync"
	operationResync = "resync"
	// Bounds of one resync: an operator waits for it, and a service that stops does, too.
	resyncWithin = 20 * time.Second
	resyncSlots  = 8
	lanePatience = 8 * time.Second
)

// resyncer brings single users to the destination because an operator asked: now, whatever the schedule says, and
// also in a version that is known, since the record may have been damaged at the destination.
type resyncer struct {
	store    *store.Store
	logger   *zap.Logger
	holder   string
	leaseFor time.Duration
	connect  *connector.Connector
}

// newResyncer shares the backfills' connections, budgets and breakers.
func newResyncer(b *backfiller) *resyncer {
	return &resyncer{store: b.store, logger: b.logger, holder: b.holder, leaseFor: b.leaseFor, connect: b.connect}
}

// resync answers rollcall.api.users.resync.
func (r *resyncer) resync(ctx context.Context, question report.ResyncQuestion) (report.Resync, error) {
	if !rollcallv1.ValidCustomerID(question.CustomerID) {
		return report.Resync{}, &service.BadRequestError{Text: "that is no customer id: 1 to 63 characters of a-z, 0-9, _ and -"}
	}
	customer, err := r.store.Customer(ctx, question.CustomerID)
	if err != nil {
		return report.Resync{}, err
	}
	if !customer.Active() {
		return report.Resync{}, notActive(customer)
	}
	lease, err := r.store.AwaitLease(ctx, customer.ID, r.holder, r.leaseFor, lanePatience)
	if errors.Is(err, store.ErrLaneTaken) {
		return report.Resync{}, &service.BusyError{Text: "another job holds the customer's lane and did not let go: try again in half a minute"}
	}
	if err != nil {
		return report.Resync{}, err
	}
	held, done := lease.Hold(ctx)
	defer func() {
		releasing, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseTimeout)
		defer cancel()
		if err := done(releasing); err != nil {
			r.logger.Warn("lease not released; it runs out by itself", zap.String("customer", customer.ID), zap.Error(err))
		}
	}()
	result, err := r.logged(held, lease, question)
	if err != nil && held.Err() != nil && ctx.Err() == nil {
		err = errors.Join(context.Cause(held), err)
	}
	return result, inWords(err)
}

func notActive(customer store.Customer) error {
	return &service.ConflictError{Text: fmt.Sprintf("customer %q is paused or switched off: resume it, or give it a VOMO token that works, first", customer.ID)}
}

// logged does the work between the two ends of a line in the job log.
func (r *resyncer) logged(ctx context.Context, lease *store.Lease, question report.ResyncQuestion) (report.Resync, error) {
	// Read again: what an operator changed while we waited for the lane holds.
	customer, err := r.store.Customer(ctx, question.CustomerID)
	if err != nil {
		return report.Resync{}, err
	}
	if !customer.Active() {
		return report.Resync{}, notActive(customer)
	}
	traceID := event.NewTraceID()
	jobID, err := r.store.StartJob(ctx, customer.ID, jobUserResync, traceID)
	if err != nil {
		return report.Resync{}, err
	}
	result, err := r.work(ctx, lease, customer, store.Run{JobID: jobID, TraceID: traceID}, question.VomoID)
	log := r.logger.With(zap.String("customer", customer.ID), zap.String("verb", "resync"), zap.String("record", question.VomoID))
	if err == nil {
		log.Info("user resynced for an operator", zap.String("outcome", result.Outcome))
		return result, nil
	}
	log.Warn("user not resynced", zap.Error(err))
	finishing, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseTimeout)
	defer cancel()
	return result, errors.Join(err, r.store.FinishJob(finishing, jobID, 0, 0, fault.CodeOf(err)))
}

func (r *resyncer) work(ctx context.Context, lease *store.Lease, customer store.Customer, run store.Run, id string) (report.Resync, error) {
	result := report.Resync{CustomerID: customer.ID, VomoID: id}
	source, err := r.connect.Source(ctx, customer, lease, jobUserResync)
	if err != nil {
		return result, err
	}
	detail, err := r.detail(ctx, source.Client, customer.ID, id)
	if errors.Is(err, vomo.ErrNotFound) {
		result.Outcome = report.ResyncNotFound
		return result, r.store.FinishJob(ctx, run.JobID, 0, 0, fault.CodeOf(err))
	}
	if err != nil {
		return result, err
	}
	if err := source.Answered(ctx); err != nil {
		return result, err
	}
	lane, err := r.connect.Lane(ctx, customer, lease, connector.Job{
		Name: jobUserResync, ID: run.JobID, TraceID: run.TraceID, Operation: operationResync, Events: customer.BackfillCompletedAt != nil,
	})
	if err != nil {
		return result, err
	}
	if err := r.compare(ctx, lane, detail, &result); err != nil {
		return result, err
	}
	options, err := r.options(ctx, customer.ID)
	if err != nil {
		return result, err
	}
	noted := &notedDestination{Destination: lane.Destination}
	lane.Destination = noted
	outcome, err := lane.Apply(ctx, detail.Page(), options, func(ctx context.Context, tx *store.Tx, outcome mirror.Outcome) error {
		return tx.FinishJob(ctx, run.JobID, int64(len(outcome.Seen)), int64(outcome.Failed), "")
	})
	if err != nil {
		return result, err
	}
	return result, r.tell(ctx, outcome, noted.stale, detail.Bad != nil, &result)
}

// listPages is how many pages of the list are read at most to find a user.
const listPages = 20

// detail reads the user by its id, and from the list if VOMO does not give it whole so: from those who changed since the
// known version, and then from everybody. An error of Detail stands if the user is not met in as many pages as are read.
func (r *resyncer) detail(ctx context.Context, client *vomo.Client, customer, id string) (vomo.Detail, error) {
	detail, err := client.Detail(ctx, id)
	if !errors.Is(err, vomo.ErrPartialDetail) {
		return detail, err
	}
	versions, knownErr := r.store.MappedVersions(ctx, customer, []string{id})
	if knownErr != nil {
		return vomo.Detail{}, knownErr
	}
	queries := []vomo.Query{{}}
	if known, isKnown := versions[id]; isKnown && known.UpdatedAt.After(vomo.OldestTime()) {
		queries = append([]vomo.Query{{UpdatedAfter: known.UpdatedAt}}, queries...)
	}
	for _, query := range queries {
		found, whole, findErr := client.Find(ctx, query, []string{id}, func(pages int) bool { return pages >= listPages })
		if findErr != nil {
			return vomo.Detail{}, findErr
		}
		if met, isMet := found[id]; isMet {
			return met, nil
		}
		if whole && query == (vomo.Query{}) {
			return vomo.Detail{}, vomo.ErrNotFound
		}
	}
	return vomo.Detail{}, err
}

// compare notes how VOMO's version stands to the known one, before it is written.
func (r *resyncer) compare(ctx context.Context, lane *mirror.Lane, detail vomo.Detail, result *report.Resync) error {
	versions, err := r.store.MappedVersions(ctx, result.CustomerID, []string{result.VomoID})
	if err != nil {
		return err
	}
	known, isKnown := versions[result.VomoID]
	if isKnown {
		result.KnownUpdatedAt = &known.UpdatedAt
	}
	if detail.User == nil {
		return nil
	}
	result.UpdatedAt = &detail.User.UpdatedAt
	version, err := mirror.VersionOf(lane.HashKey, mirror.RecordOf(*detail.User))
	result.WasCurrent = isKnown && bytes.Equal(known.Hash, version.Hash)
	return err
}

// options have the user written whatever is known of it.
func (r *resyncer) options(ctx context.Context, customer string) (mirror.ApplyOptions, error) {
	now, err := r.store.Now(ctx)
	if err != nil {
		return mirror.ApplyOptions{}, err
	}
	owed, err := r.store.RewriteOwed(ctx, customer)
	return mirror.ApplyOptions{PresumeOutage: true, RewriteBefore: now, NewSystem: owed != nil && owed.NewSystem}, err
}

func (r *resyncer) tell(ctx context.Context, outcome mirror.Outcome, stale, bad bool, result *report.Resync) error {
	switch {
	case outcome.Written > 0 && stale:
		result.Outcome = report.ResyncDestinationNewer
		return nil
	case outcome.Written > 0:
		result.Outcome = report.ResyncWritten
		return nil
	case outcome.Failed == 0 && !bad:
		result.Outcome = report.ResyncOlder
		return nil
	}
	result.Outcome = report.ResyncLetter
	letters, err := r.store.OpenLetters(ctx, result.CustomerID, deadletter.KindUser, []string{result.VomoID})
	if letter, open := letters[result.VomoID]; open {
		result.Letter = &report.OpenLetter{ID: letter.ID.String(), ErrorCode: letter.ErrorCode, ErrorClass: letter.ErrorClass}
	}
	return err
}

// notedDestination remembers whether the destination kept a version of its own. It is asked for one record.
type notedDestination struct {
	destination.Destination
	stale bool
}

// Upsert notes a stale answer.
func (n *notedDestination) Upsert(ctx context.Context, record destination.Record) (destination.Result, error) {
	result, err := n.Destination.Upsert(ctx, record)
	n.stale = err == nil && result.Stale
	return result, err
}
