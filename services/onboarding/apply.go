package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"

	"github.com/google/uuid"
	"go.uber.org/zap"
	"google.golang.org/protobuf/types/known/timestamppb"

	"rollcall.dev/pkg/budget"
	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/event"
	"rollcall.dev/pkg/job"
	"rollcall.dev/pkg/report"
	"rollcall.dev/pkg/store"
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

	BatchSize int32 `json:"batchSize,omitempty"`
}

// proposal is a request whose token works: what the customer would be.
type proposal struct {
	pending     store.PendingRequest
	wanted      store.Customer // of a token alone: as the customer stands, once that is judged
	tokenOnly   bool
	secrets     requestSecrets
	sealedVomo  []byte
	sealedOther []byte // the destination's token; nil where it asks for none
	usersTotal  int64
	limits      budget.Limits
}

// apply sets the customer up, in one transaction: config, credentials, checkpoint, the queued backfill, and
// what is published of it. Of two requests that arrive together the later one stays.
func (s *settler) apply(ctx context.Context, proposed proposal) error {
	if err := s.sealCredentials(ctx, &proposed); err != nil {
		return err
	}
	customer := proposed.pending.Customer
	var verdict verdict
	err := s.store.InTx(ctx, func(ctx context.Context, tx *store.Tx) error {
		if err := tx.LockCustomer(ctx, customer); err != nil {
			return err
		}
		var err error
		if verdict, err = s.judge(ctx, tx, &proposed); err != nil {
			return err
		}
		if verdict.refused != nil {
			return errRequestRefused
		}
		settled, err := tx.SettleRequest(ctx, proposed.pending.ID, verdict.outcome, nil)
		if err != nil || !settled || verdict.outcome == store.RequestSuperseded {
			return err
		}
		if err := tx.SupersedeOlderRequests(ctx, customer, proposed.pending.Origin); err != nil {
			return err
		}
		if verdict.outcome == store.RequestDuplicate {
			return nil
		}
		return setUp(ctx, tx, proposed)
	})
	if errors.Is(err, errRequestRefused) {
		return s.refuse(ctx, proposed.pending, verdict.refused)
	}
	if err != nil {
		return err
	}
	s.logger.Info("onboarding settled", zap.String("customer", customer), zap.String("outcome", string(verdict.outcome)))
	return nil
}

// errRequestRefused rolls back what was done to find out that a request is refused: it must stop no work.
var errRequestRefused = errors.New("the request is refused")

// setUp writes everything that a customer needs to be worked.
func setUp(ctx context.Context, tx *store.Tx, proposed proposal) error {
	customer := proposed.wanted.ID
	// A running job holds the old token, and may just have been refused for it: what it settled after this would switch
	// off a customer whose new token is good. The lane first, as in a page's transaction.
	if err := tx.FenceLane(ctx, customer); err != nil {
		return err
	}
	// A new token: what waited for it goes on from its cursor. Runs, then conditions, then the customer's row, as in
	// every transaction of a job: in another order the two could wait for each other.
	if err := job.Unpark(ctx, tx, customer); err != nil {
		return err
	}
	// The conditions before the customer's row, as in the transaction of a last page: in another order the two could
	// wait for each other.
	conditions, text, err := over(ctx, tx, proposed)
	if err != nil {
		return err
	}
	for _, condition := range conditions {
		if err := event.Clear(ctx, tx, customer, condition, text); err != nil {
			return err
		}
	}
	onboardedAt, err := tx.SaveCustomer(ctx, proposed.wanted)
	if err != nil {
		return err
	}
	if err := tx.SaveCredential(ctx, customer, store.CredentialVomoToken, proposed.sealedVomo); err != nil {
		return err
	}
	if !proposed.tokenOnly {
		if err := tx.SaveCredential(ctx, customer, store.CredentialDestinationToken, proposed.sealedOther); err != nil {
			return err
		}
	}
	if err := tx.StartCheckpoint(ctx, customer, store.ResourceUserSync); err != nil {
		return err
	}
	queued, wait, err := queueBackfill(ctx, tx, customer)
	if err != nil {
		return err
	}
	completed := &rollcallv1.OnboardingCompleted{CustomerId: customer, BackfillQueued: queued, UsersTotal: event.Count(proposed.usersTotal)}
	if queued {
		length := proposed.limits.Estimate(report.BackfillRequests(proposed.usersTotal))
		completed.EstimatedBackfillSeconds = event.Count(int64(math.Round(length.Seconds())))
		if err := tellEstimate(ctx, tx, proposed.wanted, length, completed); err != nil {
			return err
		}
	}
	if wait.Needed() {
		completed.WaitingFor, completed.EstimatedStartAt = wait.Reason, timestamppb.New(wait.Until)
	}
	return tellCompleted(ctx, tx, proposed.pending.Origin, onboardedAt, completed)
}

// queueBackfill queues the backfill that is owed, or wakes the one that is parked. A customer whose backfill is
// complete needs none, also after a new token; what an operator paused stays paused. A run whose time has not come
// is parked, and no worker is asked.
func queueBackfill(ctx context.Context, tx *store.Tx, customer string) (queued bool, wait window.Wait, err error) {
	current, err := tx.Customer(ctx, customer)
	if err != nil {
		return false, wait, err
	}
	owed, err := owesBackfill(ctx, tx, current)
	if err != nil {
		return false, wait, err
	}
	var run int64
	if owed {
		if run, queued, err = tx.StartRun(ctx, customer, backfillJob(current), event.NewTraceID()); err != nil {
			return false, wait, err
		}
	}
	if !queued {
		parked, unparked, err := tx.UnparkRun(ctx, customer)
		if err != nil || !unparked {
			return false, wait, err
		}
		run = parked
	}
	if wait, err = putOff(ctx, tx, current, run); err != nil || wait.Needed() {
		return queued, wait, err
	}
	return queued, wait, publishRequest(ctx, tx, customer, run)
}

// owesBackfill says whether not everybody stands in the destination yet: the first backfill is not complete, or a
// rewrite is not.
func owesBackfill(ctx context.Context, tx *store.Tx, customer store.Customer) (bool, error) {
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

// publishRequest owes the bus a request for a run, with a new id each time.
func publishRequest(ctx context.Context, tx *store.Tx, customer string, run int64) error {
	payload, err := rollcallv1.Encode(&rollcallv1.BackfillRequest{CustomerId: customer, RunId: run})
	if err != nil {
		return err
	}
	return tx.Publish(ctx, store.Message{Subject: bus.SubjectBackfill(customer), ID: "backfill-" + uuid.NewString(), Payload: payload})
}

func (s *settler) sealCredentials(ctx context.Context, proposed *proposal) error {
	customer := proposed.pending.Customer
	var err error
	proposed.sealedVomo, err = s.vault.Seal(ctx, customer, store.CredentialVomoToken, []byte(proposed.secrets.VomoToken))
	if err != nil {
		return fmt.Errorf("seal token: %w", err)
	}
	if proposed.secrets.DestinationToken == "" {
		return nil
	}
	proposed.sealedOther, err = s.vault.Seal(ctx, customer, store.CredentialDestinationToken, []byte(proposed.secrets.DestinationToken))
	if err != nil {
		return fmt.Errorf("seal destination token: %w", err)
	}
	return nil
}

// customerOf is the row that a request asks for.
func customerOf(id string, request *rollcallv1.OnboardingRequest) (store.Customer, error) {
	target, err := json.Marshal(storedDestination{
		Kind: request.GetDestination().GetKind(), URL: request.GetDestination().GetUrl(), BatchSize: request.GetDestination().GetBatchSize(),
	})
	if err != nil {
		return store.Customer{}, fmt.Errorf("encode destination: %w", err)
	}
	customer := store.Customer{
		ID: id, ExternalSystemURL: request.GetDestination().GetUrl(), Destination: target,
		PollCadenceMinutes: request.GetPollCadenceMinutes(),
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
	return customer, nil
}
