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
	"rollcall.dev/pkg/fault"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/vault"
	"rollcall.dev/pkg/vomo"
	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

const (
	lookEvery = time.Second
	// How long a claimed request is kept from others: above what a test of the token takes.
	claimHold    = time.Minute
	settleTime   = 45 * time.Second
	firstDelay   = 2 * time.Second
	longestDelay = 5 * time.Minute
	// longestGiveBack is for failures on our side: work goes on within 30 s of their end.
	longestGiveBack = 15 * time.Second
	probeTimeout    = 10 * time.Second
	jobOnboard      = "onboarding"
)

// settler works pending requests until they are applied or refused: any replica, the newest request of a
// customer first, again and again while VOMO cannot be asked.
type settler struct {
	store       *store.Store
	vault       *vault.Vault
	logger      *zap.Logger
	slots       int
	wake        chan struct{}
	vomoBaseURL string
	transport   http.RoundTripper // to VOMO; nil: each test of a token makes its own
	limits      budget.Limits
}

func (s *settler) wakeUp() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// run works until ctx ends; what is in hand then is left to be claimed again.
func (s *settler) run(ctx context.Context) {
	ticker := time.NewTicker(lookEvery)
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

// claimNext starts the next due request, if there is one, in a slot of its own.
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
			s.logger.Warn("pending requests cannot be read", zap.Error(err))
		}
		return false
	}
	running.Go(func() {
		defer func() { <-slots; s.wakeUp() }()
		bounded, cancel := context.WithTimeout(ctx, settleTime)
		defer cancel()
		if err := s.settle(bounded, request); err != nil && ctx.Err() == nil {
			s.logger.Warn("request not settled; it is tried again", zap.String("customer", request.Customer), zap.Error(err))
			s.giveBack(ctx, request)
		}
	})
	return true
}

// giveBack has a request that failed on our side tried again within seconds, and not when its claim has run out. While
// Postgres cannot be reached that is tried, too, for as long as the claim holds.
func (s *settler) giveBack(ctx context.Context, pending store.PendingRequest) {
	ctx, cancel := context.WithTimeout(ctx, claimHold)
	defer cancel()
	wait := backoff.Delays{First: firstDelay, Longest: longestGiveBack}.After(pending.Attempts)
	for {
		err := s.store.GiveBackRequest(ctx, pending.ID, wait)
		if err == nil {
			return
		}
		if backoff.Sleep(ctx, lookEvery) != nil {
			s.logger.Warn("request not given back; its claim runs out", zap.String("customer", pending.Customer), zap.Error(err))
			return
		}
	}
}

func (s *settler) settle(ctx context.Context, pending store.PendingRequest) error {
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
	limits, tokenOnly := s.limits.With(request.OwnLimits()), request.TokenOnly()
	if tokenOnly {
		current, settled, err := s.standing(ctx, pending)
		if err != nil || settled {
			return err
		}
		limits = s.limits.With(current.RequestsPerSecond, current.RequestsPerMinute)
	}
	page, err := s.testToken(ctx, pending.Customer, secrets.VomoToken, limits)
	switch {
	case err == nil:
		wanted, err := customerOf(pending.Customer, request)
		if err != nil {
			return err
		}
		return s.apply(ctx, proposal{
			pending: pending, wanted: wanted, tokenOnly: tokenOnly, secrets: secrets, usersTotal: int64(max(page.Total, 0)), limits: limits,
		})
	case errors.Is(err, vomo.ErrUnauthorized), errors.Is(err, vomo.ErrForbidden):
		if many, looking := s.store.VomoRefusesMany(ctx); looking != nil || many {
			return errors.Join(looking, s.delay(ctx, pending, err)) // it says nothing about this token now
		}
		errs := rollcallv1.FieldErrors{}
		errs.Add("vomoToken", "Token rejected by VOMO API")
		return s.refuse(ctx, pending, errs)
	case ctx.Err() != nil:
		return fmt.Errorf("test the token: %w", err)
	default:
		return s.delay(ctx, pending, err)
	}
}

// testToken reads page 1 of the users: a token works if that does (docs/guides.md#onboarding).
func (s *settler) testToken(ctx context.Context, customer, token string, limits budget.Limits) (vomo.Page, error) {
	account, err := budget.Open(s.store, customer, jobOnboard, limits)
	if err != nil {
		return vomo.Page{}, err
	}
	client, err := vomo.New(vomo.Config{
		BaseURL: s.vomoBaseURL, Token: token, Transport: s.transport, Timeout: probeTimeout, Before: account.Wait,
		Throttled: func(ctx context.Context, after time.Duration) {
			if err := account.Throttled(ctx, after); err != nil {
				s.logger.Warn("a refusal of VOMO was not noted", zap.Error(err))
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

// delay is for an answer that says nothing about the token: it is asked again, and the customer is notified once.
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
		return tellDelayed(ctx, tx, pending, fault.CodeOf(reason), wait)
	})
	if err != nil {
		return err
	}
	s.logger.Warn("VOMO could not be asked about the token; it is asked again", zap.String("customer", pending.Customer),
		zap.Duration("after", wait), zap.Error(reason))
	return nil
}

// refuse ends a request for good; its secrets are forgotten with it.
func (s *settler) refuse(ctx context.Context, pending store.PendingRequest, errs rollcallv1.FieldErrors) error {
	encoded, err := json.Marshal(errs)
	if err != nil {
		return fmt.Errorf("encode errors: %w", err)
	}
	err = s.store.InTx(ctx, func(ctx context.Context, tx *store.Tx) error {
		settled, err := tx.SettleRequest(ctx, pending.ID, store.RequestRejected, encoded)
		if err != nil || !settled {
			return err
		}
		return tellRejected(ctx, tx, pending.Origin, pending.Customer, errs)
	})
	if err != nil {
		return err
	}
	s.logger.Warn("onboarding rejected", zap.String("customer", pending.Customer), zap.Error(errs))
	return nil
}
