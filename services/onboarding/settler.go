package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"go.uber.org/zap"

	"rollcall.dev/pkg/backoff"
	"rollcall.dev/pkg/budget"
	"rollcall.dev/pkg/connector"
	"rollcall.dev/pkg/fault"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/telemetry"
	"rollcall.dev/pkg/vault"
	"rollcall.dev/pkg/vomo"
	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

const (
	claimEvery = time.Second
	// claimHold is how long other replicas leave a claimed request alone. It is longer than a test of the token.
	claimHold    = time.Minute
	settleTime   = 45 * time.Second
	firstDelay   = 2 * time.Second
	longestDelay = 5 * time.Minute
	// maxReleaseDelay is for failures on our side: work continues within 30 s of their end.
	maxReleaseDelay = 15 * time.Second
	probeTimeout    = 10 * time.Second
	jobOnboard      = "onboarding"
)

// settler handles pending requests until they are applied or rejected, the newest request of a customer first. Every replica
// runs it. While VOMO does not answer, it retries.
type settler struct {
	store       *store.Store
	vault       *vault.Vault
	logger      *zap.Logger
	slots       int
	tracing     *telemetry.Tracing
	wake        chan struct{}
	vomoBaseURL string
	transport   http.RoundTripper // to VOMO; nil: each test of a token makes its own
	limits      budget.Limits

	virtuous *connector.Virtuous
	source   string // VIRTUOUS_TRANSACTION_SOURCE
	// publicURL is WEBHOOK_PUBLIC_URL.
	publicURL string

	forgetAtOnce int32
}

func (s *settler) wakeUp() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// run settles requests until ctx ends. A request that is not settled by then is claimed again later.
func (s *settler) run(ctx context.Context) {
	ticker := time.NewTicker(claimEvery)
	defer ticker.Stop()
	slots := make(chan struct{}, s.slots)
	var running sync.WaitGroup
	defer running.Wait()
	for {
		for s.claimNext(ctx, slots, &running) {
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		case <-s.wake:
		}
	}
}

// claimNext settles the next due request, if there is one, in its own slot.
func (s *settler) claimNext(ctx context.Context, slots chan struct{}, running *sync.WaitGroup) bool {
	select {
	case slots <- struct{}{}:
	case <-ctx.Done():
		return false
	}
	request, err := s.store.ClaimDueRequest(ctx, claimHold)
	if err != nil {
		<-slots
		if !errors.Is(err, store.ErrNotFound) && ctx.Err() == nil {
			s.logger.Warn("reading pending requests failed; it will be retried", zap.Error(err))
		}
		return false
	}
	running.Go(func() {
		defer func() { <-slots; s.wakeUp() }()
		bounded, cancel := context.WithTimeout(ctx, settleTime)
		defer cancel()
		traced, span := s.tracing.Continue(bounded, request.TraceParent, telemetry.SpanSettleRequest, request.Customer)
		err := s.settle(traced, request)
		span.End(err)
		if err != nil && ctx.Err() == nil {
			s.logger.With(telemetry.LogFields(traced)...).Warn("request not settled; it will be retried",
				zap.String("customer", request.Customer), zap.Error(err))
			s.release(ctx, request)
		}
	})
	return true
}

// release lets a request that failed on our side be retried within seconds instead of after its claim. During an outage of
// Postgres, release itself is retried until the claim expires.
func (s *settler) release(ctx context.Context, pending store.PendingRequest) {
	ctx, cancel := context.WithTimeout(ctx, claimHold)
	defer cancel()
	wait := backoff.Delays{First: firstDelay, Longest: maxReleaseDelay}.After(pending.Attempts)
	for {
		err := s.store.GiveBackRequest(ctx, pending.ID, wait)
		if err == nil {
			return
		}
		if backoff.Sleep(ctx, claimEvery) != nil {
			s.logger.Warn("request not released; its claim will expire", zap.String("customer", pending.Customer), zap.Error(err))
			return
		}
	}
}

func (s *settler) settle(ctx context.Context, pending store.PendingRequest) error {
	if err := offboardingDone(ctx, s.store.Conn, pending.Customer); err != nil {
		return s.awaitOffboarding(ctx, pending, err)
	}
	request := &rollcallv1.OnboardingRequest{}
	if errs := rollcallv1.Decode(pending.Request, request); len(errs) > 0 {
		return fmt.Errorf("read stored request: %w", errs)
	}
	plain, err := s.vault.Open(ctx, pending.Customer, purposeSecrets, pending.SealedSecrets)
	if err != nil {
		return fmt.Errorf("open secrets: %w", err)
	}
	var secrets requestSecrets
	if err := json.Unmarshal(plain, &secrets); err != nil {
		return fmt.Errorf("read secrets: %w", err)
	}
	later, err := s.store.RequestAppliedAfter(ctx, pending.Customer, pending.Origin)
	if err != nil {
		return err
	}
	proposed := proposal{pending: pending, sides: pending.Sides.Without(later), request: request, secrets: secrets}
	if proposed.sides.None() {
		return s.supersede(ctx, pending)
	}
	settled, err := s.checkCredentials(ctx, &proposed)
	if err != nil || settled {
		return err
	}
	return s.apply(ctx, proposed)
}

// supersede ends a request of whose sides later requests were applied.
func (s *settler) supersede(ctx context.Context, pending store.PendingRequest) error {
	return s.store.InTx(ctx, func(ctx context.Context, tx *store.Tx) error {
		_, err := tx.SettleRequest(ctx, pending.ID, store.RequestSuperseded, nil)
		return err
	})
}

// testToken reads page 1 of the users. The token is accepted if that succeeds (docs/guides.md#onboarding).
func (s *settler) testToken(ctx context.Context, customer, token string, limits budget.Limits) (vomo.Page, error) {
	account, err := budget.Open(s.store, customer, jobOnboard, limits)
	if err != nil {
		return vomo.Page{}, err
	}
	client, err := vomo.New(vomo.Config{
		BaseURL: s.vomoBaseURL, Token: token, Transport: s.transport, Timeout: probeTimeout, Before: account.Wait,
		Throttled: func(ctx context.Context, after time.Duration) {
			if err := account.Throttled(ctx, after); err != nil {
				s.logger.Warn("rejection by VOMO not noted", zap.Error(err))
			}
		},
	})
	if err != nil {
		return vomo.Page{}, fmt.Errorf("open VOMO: %w", err)
	}
	page, err := client.Probe(ctx)
	if err != nil {
		return vomo.Page{}, fmt.Errorf("test the token: %w", err)
	}
	return page, nil
}

// delay handles a response that says nothing about the token: the test is retried, and onboarding.delayed is published once.
func (s *settler) delay(ctx context.Context, pending store.PendingRequest, reason error) error {
	wait := backoff.Delays{First: firstDelay, Longest: longestDelay, Jitter: 0.5}.After(pending.Attempts)
	if after, ok := fault.After(reason); ok {
		wait = max(wait, after)
	}
	err := s.store.InTx(ctx, func(ctx context.Context, tx *store.Tx) error {
		delayed, err := tx.DelayRequest(ctx, pending.ID, wait)
		if err != nil || !delayed || pending.DelayNotified {
			return err
		}
		return publishDelayed(ctx, tx, pending, fault.CodeOf(reason), wait)
	})
	if err != nil {
		return err
	}
	s.logger.Warn("test of the credentials failed; it will be retried", zap.String("customer", pending.Customer),
		zap.Duration("after", wait), zap.Error(reason))
	return nil
}

// reject ends a request permanently, and deletes its secrets.
func (s *settler) reject(ctx context.Context, pending store.PendingRequest, errs rollcallv1.FieldErrors) error {
	encoded, err := json.Marshal(errs)
	if err != nil {
		return fmt.Errorf("encode errors: %w", err)
	}
	err = s.store.InTx(ctx, func(ctx context.Context, tx *store.Tx) error {
		settled, err := tx.SettleRequest(ctx, pending.ID, store.RequestRejected, encoded)
		if err != nil || !settled {
			return err
		}
		return publishRejected(ctx, tx, pending.Origin, pending.Customer, errs)
	})
	if err != nil {
		return err
	}
	s.logger.Warn("onboarding rejected", zap.String("customer", pending.Customer), zap.Error(errs))
	return nil
}
