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
	"rollcall.dev/pkg/fault"
	"rollcall.dev/pkg/job"
	"rollcall.dev/pkg/mirror"
	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/service"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/telemetry"
	"rollcall.dev/pkg/vomo"
	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

const (
	jobUserResync   = "user_resync"
	operationResync = "resync"
	// Limits of one resync: an operator waits for it, and so does a service that stops.
	resyncWithin = 20 * time.Second
	resyncSlots  = 8
	finishWithin = 5 * time.Second
	lanePatience = 8 * time.Second
)

// resyncer writes single users to the destination at an operator's request: at once, whatever the schedule says, and also
// in a version that is stored, since the record may have been damaged at the destination.
type resyncer struct {
	store    *store.Store
	logger   *zap.Logger
	holder   string
	leaseFor time.Duration
	connect  *connector.Connector
}

// newResyncer shares the connections, budgets and breakers of the backfills.
func newResyncer(r *job.Runner) *resyncer {
	return &resyncer{store: r.Store, logger: r.Logger, holder: r.Holder, leaseFor: r.LeaseFor, connect: r.Connect}
}

// resync answers rollcall.api.users.resync.
func (r *resyncer) resync(ctx context.Context, question operatorapi.ResyncQuestion) (operatorapi.Resync, error) {
	if !rollcallv1.ValidCustomerID(question.CustomerID) {
		return operatorapi.Resync{}, &service.BadRequestError{Text: "that is no customer id: 1 to 63 characters of a-z, 0-9, _ and -"}
	}
	customer, err := r.store.Customer(ctx, question.CustomerID)
	if err != nil {
		return operatorapi.Resync{}, err
	}
	if !customer.Active() {
		return operatorapi.Resync{}, notActive(customer)
	}
	lease, err := r.store.AwaitLease(ctx, customer.ID, r.holder, r.leaseFor, lanePatience)
	if errors.Is(err, store.ErrLaneTaken) {
		return operatorapi.Resync{}, &service.BusyError{Text: "another job holds the customer's lane and did not let go: try again in half a minute"}
	}
	if err != nil {
		return operatorapi.Resync{}, err
	}
	held, letGo := job.Hold(ctx, lease, r.logger)
	defer letGo()
	result, err := r.logged(held, lease, question)
	if err != nil && held.Err() != nil && ctx.Err() == nil {
		err = errors.Join(context.Cause(held), err)
	}
	return result, answerFor(err)
}

func notActive(customer store.Customer) error {
	return &service.ConflictError{Text: fmt.Sprintf("customer %q is paused or switched off: resume it, or give it a VOMO token that works, first", customer.ID)}
}

// logged does the work, with a line in the job log.
func (r *resyncer) logged(ctx context.Context, lease *store.Lease, question operatorapi.ResyncQuestion) (operatorapi.Resync, error) {
	// Read again: an operator may have changed the customer while we waited for the lane.
	customer, err := r.store.Customer(ctx, question.CustomerID)
	if err != nil {
		return operatorapi.Resync{}, err
	}
	if !customer.Active() {
		return operatorapi.Resync{}, notActive(customer)
	}
	traceID := telemetry.TraceParent(ctx)
	jobID, err := r.store.StartJob(ctx, customer.ID, jobUserResync, traceID)
	if err != nil {
		return operatorapi.Resync{}, err
	}
	result, err := r.work(ctx, lease, customer, store.Run{JobID: jobID, TraceID: traceID}, question.VomoID)
	log := r.logger.With(zap.String("customer", customer.ID), zap.String("verb", "resync"), zap.String("record", question.VomoID))
	if err == nil {
		log.Info("user resynced for an operator", zap.String("outcome", result.Outcome))
		return result, nil
	}
	log.Warn("user not resynced", zap.Error(err))
	finishing, cancel := context.WithTimeout(context.WithoutCancel(ctx), finishWithin)
	defer cancel()
	return result, errors.Join(err, r.store.FinishJob(finishing, jobID, 0, 0, fault.CodeOf(err)))
}

func (r *resyncer) work(ctx context.Context, lease *store.Lease, customer store.Customer, run store.Run, id string) (operatorapi.Resync, error) {
	result := operatorapi.Resync{CustomerID: customer.ID, VomoID: id}
	source, err := r.connect.Source(ctx, customer, lease, jobUserResync)
	if err != nil {
		return result, err
	}
	detail, err := r.detail(ctx, source.Client, customer.ID, id)
	if errors.Is(err, vomo.ErrNotFound) {
		result.Outcome = operatorapi.ResyncNotFound
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
	return result, r.addOutcome(ctx, outcome, noted.stale, detail.Bad != nil, &result)
}

// listPages is how many pages of the list are read at most to find a user.
const listPages = 20

// detail reads the user by its id, and from the list if VOMO does not give it whole in this way: first from the users that
// changed since the stored version, then from all. It returns the error of Detail if the user is not on the pages that are read.
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

// compare compares VOMO's version with the stored one, before it is written.
func (r *resyncer) compare(ctx context.Context, lane *mirror.Lane, detail vomo.Detail, result *operatorapi.Resync) error {
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
	result.WasCurrent = isKnown && (bytes.Equal(known.Hash, version.Hash) || isBlankVersion(known, detail.User))
	return err
}

// isBlankVersion reports whether a version that an offboarding blanked is this one, by its time, which is all that is known of it.
func isBlankVersion(known store.Version, user *vomo.User) bool {
	return len(known.Hash) == 0 && !user.Undated && known.UpdatedAt.Equal(user.UpdatedAt)
}

// options has the user written whatever version is stored.
func (r *resyncer) options(ctx context.Context, customer string) (mirror.ApplyOptions, error) {
	now, err := r.store.Now(ctx)
	if err != nil {
		return mirror.ApplyOptions{}, err
	}
	owed, err := r.store.RewriteOwed(ctx, customer)
	return mirror.ApplyOptions{PresumeOutage: true, RewriteBefore: now, NewSystem: owed != nil && owed.NewSystem}, err
}

func (r *resyncer) addOutcome(ctx context.Context, outcome mirror.Outcome, stale, bad bool, result *operatorapi.Resync) error {
	switch {
	case outcome.Written > 0 && stale:
		result.Outcome = operatorapi.ResyncDestinationNewer
		return nil
	case outcome.Written > 0:
		result.Outcome = operatorapi.ResyncWritten
		return nil
	case outcome.Failed == 0 && !bad:
		result.Outcome = operatorapi.ResyncOlder
		return nil
	}
	result.Outcome = operatorapi.ResyncLetter
	letters, err := r.store.OpenLetters(ctx, result.CustomerID, deadletter.KindUser, []string{result.VomoID})
	if letter, open := letters[result.VomoID]; open {
		result.Letter = &operatorapi.OpenLetter{ID: letter.ID.String(), ErrorCode: letter.ErrorCode, ErrorClass: letter.ErrorClass}
	}
	return err
}

// notedDestination notes whether the destination kept a version of its own. It is used for one record.
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
