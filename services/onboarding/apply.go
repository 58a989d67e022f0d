package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"time"

	"go.uber.org/zap"
	"google.golang.org/protobuf/types/known/timestamppb"

	"rollcall.dev/pkg/budget"
	"rollcall.dev/pkg/event"
	"rollcall.dev/pkg/job"
	"rollcall.dev/pkg/report"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/telemetry"
	"rollcall.dev/pkg/vault"
	"rollcall.dev/pkg/virtuous"
	"rollcall.dev/pkg/window"
	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

const (
	jobInitialBackfill    = "initial_backfill" // its name in job_log (docs/guides.md#names)
	jobFullResync         = "full_resync"      // the same for a customer whose first backfill is complete
	defaultCadenceMinutes = 30
)

// storedDestination is sync_configs.destination.
type storedDestination struct {
	Kind string `json:"kind"`
	URL  string `json:"url"`

	BatchSize      int32 `json:"batchSize,omitempty"`
	Participations bool  `json:"participations,omitempty"`
}

// proposal is a request whose credentials are accepted, with what it asks for.
type proposal struct {
	pending store.PendingRequest
	sides   store.Sides // that are to be applied
	request *rollcallv1.OnboardingRequest
	secrets requestSecrets

	// Of the mirror.
	wanted      store.Customer // for a token-only request: the customer as it is
	tokenOnly   bool
	sealedVomo  []byte
	sealedOther []byte // the destination's token; nil if it has none
	usersTotal  int64
	limits      budget.Limits

	// Of giving.
	organization virtuous.Organization
	keepsTokens  bool                  // the refresh token is the one that was given before: the customer's tokens stay
	giving       store.VirtuousConfig  // as it is to be
	givingBefore *store.VirtuousConfig // as it is; nil: giving was never set up
}

// apply stores the customer in one transaction: config, credentials, checkpoint, the queued backfill and the events. If two
// requests arrive together, the later one wins.
func (s *settler) apply(ctx context.Context, proposed proposal) error {
	customer, asked := proposed.pending.Customer, proposed
	var verdict verdict
	err := s.store.InTx(ctx, func(ctx context.Context, tx *store.Tx) error {
		if err := tx.LockCustomer(ctx, customer); err != nil {
			return err
		}
		if err := offboardingDone(ctx, tx.Conn, customer); err != nil {
			return err
		}
		var err error
		if verdict, err = s.judge(ctx, tx, &proposed); err != nil {
			return err
		}
		if verdict.rejected != nil {
			return errRequestRejected
		}
		settled, err := tx.SettleRequest(ctx, proposed.pending.ID, verdict.outcome, nil)
		if err != nil || !settled || verdict.outcome == store.RequestSuperseded {
			return err
		}
		if err := tx.SupersedeOlderRequests(ctx, customer, proposed.pending.Sides, proposed.pending.Origin); err != nil {
			return err
		}
		if verdict.outcome == store.RequestDuplicate {
			return nil
		}
		// An offboarding destroys the key that seals the credentials. It holds the customer's lock, as this transaction does.
		keys := s.vault.On(tx.Conn)
		if err := sealCredentials(ctx, keys, &proposed); err != nil {
			return err
		}
		return s.applyProposal(ctx, tx, keys, proposed)
	})
	switch {
	case errors.Is(err, errSecretOnItsWay):
		return s.reject(ctx, proposed.pending, rollcallv1.FieldErrors{fieldGivenSecret: {err.Error()}})
	case errors.Is(err, errRequestRejected):
		return s.reject(ctx, proposed.pending, verdict.rejected)
	case err != nil:
		return s.notApplied(ctx, asked, err)
	}
	s.logger.Info("onboarding request settled", zap.String("customer", customer), zap.String("outcome", string(verdict.outcome)))
	return nil
}

// notApplied prepares what the request must wait for, and applies or gives it back.
func (s *settler) notApplied(ctx context.Context, asked proposal, err error) error {
	switch {
	case errors.Is(err, errSidesChanged):
		return s.store.GiveBackRequest(ctx, asked.pending.ID, returnRetry)
	case errors.Is(err, errOrganizationKept):
		if err := s.forgetInBatches(ctx, asked); err != nil {
			return err
		}
		return s.apply(ctx, asked)
	case errors.Is(err, errMirrorKept):
		return s.awaitPurge(ctx, asked.pending)
	case errors.Is(err, errOffboardingUnfinished):
		return s.awaitOffboarding(ctx, asked.pending, err)
	}
	return err
}

// errRequestRejected rolls back the transaction of a rejected request: the request must stop no work.
var errRequestRejected = errors.New("the request is rejected")

// applyProposal writes everything that the proposed sides need, and publishes one event.
func (s *settler) applyProposal(ctx context.Context, tx *store.Tx, keys *vault.Vault, proposed proposal) error {
	if err := stopAndClear(ctx, tx, proposed); err != nil {
		return err
	}
	if err := endRetention(ctx, tx, proposed.pending.Customer); err != nil {
		return err
	}
	completed := &rollcallv1.OnboardingCompleted{CustomerId: proposed.pending.Customer}
	var onboardedAt time.Time
	var err error
	if proposed.sides.Mirror {
		if onboardedAt, err = applyMirror(ctx, tx, proposed, completed); err != nil {
			return err
		}
	}
	if proposed.sides.Giving {
		if onboardedAt, err = s.applyGiving(ctx, tx, keys, proposed, completed); err != nil {
			return err
		}
	}
	return publishCompleted(ctx, tx, proposed.pending.Origin, onboardedAt, completed)
}

// stopAndClear stops the running jobs of the proposed sides, has parked runs continue, and clears the alerts that end.
func stopAndClear(ctx context.Context, tx *store.Tx, proposed proposal) error {
	customer := proposed.pending.Customer
	var conditions []string
	text := "A new key was given."
	if proposed.sides.Mirror {
		// Fence the running job. It holds the old token, and if VOMO has just rejected that, the job would switch off the customer
		// although the new token is good. The lane comes first, as in a page's transaction.
		if err := tx.FenceLane(ctx, customer); err != nil {
			return err
		}
	}
	if proposed.sides.Giving {
		if err := tx.FenceGivingLane(ctx, customer); err != nil { // its job holds the old key
			return err
		}
	}
	if proposed.sides.Mirror {
		// With a new token, parked runs continue from their cursors. The order is runs, alerts, the customer's row, as in every
		// transaction of a job; another order could deadlock.
		if err := job.Unpark(ctx, tx, customer); err != nil {
			return err
		}
		var err error
		if conditions, text, err = endedConditions(ctx, tx, proposed); err != nil {
			return err
		}
	}
	if proposed.sides.Giving {
		conditions = append(conditions, event.AlertVirtuousAuthFailed, event.AlertVirtuousForbidden)
		if before := proposed.givingBefore; before != nil && before.OrganizationID != proposed.giving.OrganizationID {
			conditions = append(conditions, event.AlertGiftDeletionsHeld) // it is about gifts of the organization before
		}
		if proposed.request.GetVirtuous().GetRemove() { // what giving found is found no more, so giving will not clear it
			conditions = append(append(conditions, event.GivingFigures()...), event.AlertImportNotRun, event.AlertWebhookSilent, event.AlertWebhookSignatures)
			text = "Giving was removed."
		}
	}
	// The alerts come before the customer's row, as in the transaction of a last page; another order could deadlock.
	for _, condition := range conditions {
		if err := event.Clear(ctx, tx, customer, condition, text); err != nil {
			return err
		}
	}
	return nil
}

// applyMirror writes the customer's mirror: config, credentials, checkpoint and the queued backfill.
func applyMirror(ctx context.Context, tx *store.Tx, proposed proposal, completed *rollcallv1.OnboardingCompleted) (onboardedAt time.Time, err error) {
	customer := proposed.wanted.ID
	if onboardedAt, err = tx.SaveCustomer(ctx, proposed.wanted); err != nil {
		return onboardedAt, err
	}
	if err := tx.SaveCredential(ctx, customer, store.CredentialVomoToken, proposed.sealedVomo); err != nil {
		return onboardedAt, err
	}
	if !proposed.tokenOnly {
		if err := tx.SaveCredential(ctx, customer, store.CredentialDestinationToken, proposed.sealedOther); err != nil {
			return onboardedAt, err
		}
	}
	if err := tx.StartCheckpoint(ctx, customer, store.ResourceUserSync); err != nil {
		return onboardedAt, err
	}
	queued, wait, err := queueBackfill(ctx, tx, customer)
	if err != nil {
		return onboardedAt, err
	}
	completed.BackfillQueued, completed.UsersTotal = queued, event.Count(proposed.usersTotal)
	if queued {
		length := proposed.limits.Estimate(report.BackfillRequests(proposed.usersTotal))
		completed.EstimatedBackfillSeconds = event.Count(int64(math.Round(length.Seconds())))
		if err := addEstimate(ctx, tx, proposed.wanted, length, completed); err != nil {
			return onboardedAt, err
		}
	}
	if wait.Needed() {
		completed.WaitingFor, completed.EstimatedStartAt = wait.Reason, timestamppb.New(wait.Until)
	}
	return onboardedAt, nil
}

// queueBackfill queues the backfill that the customer needs, or wakes the parked one. A customer whose backfill is complete
// needs none, also after a new token. A run that an operator paused stays paused. A run whose window is closed is parked, and
// no request is published.
func queueBackfill(ctx context.Context, tx *store.Tx, customer string) (queued bool, wait window.Wait, err error) {
	current, err := tx.Customer(ctx, customer)
	if err != nil {
		return false, wait, err
	}
	owed, err := needsBackfill(ctx, tx, current)
	if err != nil {
		return false, wait, err
	}
	run := store.RunRef{Customer: customer, Kind: store.KindBackfill}
	if owed {
		run.Trace = telemetry.TraceParent(ctx)
		if run.ID, queued, err = tx.StartBackfill(ctx, customer, backfillJob(current), run.Trace); err != nil {
			return false, wait, err
		}
	}
	if !queued {
		unparked, err := tx.UnparkRuns(ctx, customer, store.KindBackfill)
		if err != nil || len(unparked) == 0 {
			return false, wait, err
		}
		run = unparked[0]
	}
	if wait, err = putOff(ctx, tx, current); err != nil || wait.Needed() {
		return queued, wait, err
	}
	return queued, wait, publishRequest(ctx, tx, run)
}

// needsBackfill returns whether users are still missing in the destination: the first backfill or a rewrite is not complete.
func needsBackfill(ctx context.Context, tx *store.Tx, customer store.Customer) (bool, error) {
	if customer.BackfillCompletedAt == nil {
		return true, nil
	}
	owed, err := tx.RewriteOwed(ctx, customer.ID)
	return owed != nil, err
}

func backfillJob(customer store.Customer) string {
	if customer.BackfillCompletedAt != nil {
		return jobFullResync
	}
	return jobInitialBackfill
}

// publishRequest puts a request for a run into the outbox, with a new id each time.
func publishRequest(ctx context.Context, tx *store.Tx, run store.RunRef) error {
	message, err := job.BackfillMessage(run)
	if err != nil {
		return err
	}
	return tx.Publish(ctx, message)
}

func sealCredentials(ctx context.Context, keys *vault.Vault, proposed *proposal) error {
	if !proposed.sides.Mirror {
		return nil
	}
	customer := proposed.pending.Customer
	var err error
	proposed.sealedVomo, err = keys.Seal(ctx, customer, store.CredentialVomoToken, []byte(proposed.secrets.VomoToken))
	if err != nil {
		return fmt.Errorf("seal token: %w", err)
	}
	if proposed.secrets.DestinationToken == "" {
		return nil
	}
	proposed.sealedOther, err = keys.Seal(ctx, customer, store.CredentialDestinationToken, []byte(proposed.secrets.DestinationToken))
	if err != nil {
		return fmt.Errorf("seal destination token: %w", err)
	}
	return nil
}

// customerOf returns the customer's row that a request asks for.
func customerOf(id string, request *rollcallv1.OnboardingRequest) (store.Customer, error) {
	target, err := json.Marshal(storedDestination{
		Kind: request.GetDestination().GetKind(), URL: request.GetDestination().GetUrl(), BatchSize: request.GetDestination().GetBatchSize(),
		Participations: request.GetDestination().GetParticipations(),
	})
	if err != nil {
		return store.Customer{}, fmt.Errorf("encode destination: %w", err)
	}
	customer := store.Customer{
		ID: id, ExternalSystemURL: request.GetDestination().GetUrl(), Destination: target,
		PollCadenceMinutes: request.GetPollCadenceMinutes(), Participations: request.GetParticipations(),
	}
	if customer.PollCadenceMinutes == 0 {
		customer.PollCadenceMinutes = defaultCadenceMinutes
	}
	if email := request.GetAdminEmail(); email != "" {
		customer.AdminEmail = &email
	}
	customer.RequestsPerSecond, customer.RequestsPerMinute = request.OwnLimits()
	if err := setWindow(&customer, request); err != nil {
		return store.Customer{}, err
	}
	customer.WriteBack, err = store.WriteBack{Fields: request.GetWriteBack().GetFields(), Create: request.GetWriteBack().GetCreate()}.Encode()
	return customer, err
}
