package endpoints

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"rollcall.dev/pkg/backoff"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/vault"
	"rollcall.dev/services/notifier/internal/signedpost"
)

const (
	// dueEvery is how often endpoints to which something is to be sent are looked for, besides those that the process itself knows of.
	dueEvery = time.Second
	// defaultSlots is how many endpoints one process sends to at the same time. One that is failing gets one delivery a minute, which takes
	// postTimeout at most, so that some hundred of them that hang keep no other waiting.
	defaultSlots = 32
	// atOnce is how many deliveries an endpoint gets at the same time.
	atOnce = 4
	// claimHold is longer than a claim's work may take: opening secrets, one POST, and noting its outcome.
	claimHold = time.Minute
	// claimWork is after how much of it a claim is released, so that others get the slot.
	claimWork = 10 * time.Second
	// noteTimeout limits each statement after a POST: its outcome is noted also if the service stops.
	noteTimeout = 5 * time.Second
	// sealedPause is how long an endpoint whose secrets cannot be opened is left alone.
	sealedPause = 30 * time.Second
)

// Purposes for which an endpoint's secrets are sealed.
const (
	purposeURL    = "endpoint_url"
	purposeSecret = "endpoint_secret"
	purposeAnswer = "endpoint_answer"
)

// retryDelays are those of one delivery, about thirty in three days.
func retryDelays() backoff.Delays {
	return backoff.Delays{First: 5 * time.Second, Longest: 4 * time.Hour, Jitter: 0.3}
}

// pauses are those of a failing endpoint, whose deliveries are tried one by one.
func pauses() backoff.Delays {
	return backoff.Delays{First: time.Second, Longest: time.Minute, Jitter: 0.3}
}

// Sender sends what is due. Any number of processes may run one: each endpoint is claimed by one of them for a time.
type Sender struct {
	Store   *store.Store
	Vault   *vault.Vault
	Client  *http.Client
	Logger  *zap.Logger
	Metrics *Metrics
	Every   time.Duration // default 1 s
	Slots   int           // default 32

	wakeOnce sync.Once
	woken    chan struct{}
	reached  func(place string) error // in tests: where the process dies
}

func (s *Sender) wake() chan struct{} {
	s.wakeOnce.Do(func() { s.woken = make(chan struct{}, 1) })
	return s.woken
}

// Wake has the sender look for what is due at once.
func (s *Sender) Wake() {
	select {
	case s.wake() <- struct{}{}:
	default: // it will look anyway
	}
}

// Run sends until ctx ends, and then waits for the requests that have left.
func (s *Sender) Run(ctx context.Context) {
	every, slots := s.Every, make(chan struct{}, max(s.Slots, 1))
	if every == 0 {
		every = dueEvery
	}
	if s.Slots == 0 {
		slots = make(chan struct{}, defaultSlots)
	}
	look := time.NewTicker(every)
	defer look.Stop()
	var sending sync.WaitGroup
	defer sending.Wait()
	for {
		select {
		case <-ctx.Done():
			return
		case slots <- struct{}{}:
		}
		claim, err := s.Store.ClaimEndpoint(ctx, claimHold)
		if err == nil {
			sending.Go(func() {
				defer func() { <-slots; s.Wake() }()
				s.serve(ctx, claim)
			})
			continue
		}
		<-slots
		if ctx.Err() == nil && !errors.Is(err, store.ErrNotFound) {
			s.Logger.Warn("due endpoints not looked for; it will be tried again", zap.Error(err))
		}
		select {
		case <-ctx.Done():
			return
		case <-s.wake():
		case <-look.C:
		}
	}
}

// Round sends what is due now, one endpoint after another, and returns how many claims that took.
func (s *Sender) Round(ctx context.Context) (claims int, err error) {
	for {
		claim, err := s.Store.ClaimEndpoint(ctx, claimHold)
		if errors.Is(err, store.ErrNotFound) {
			return claims, nil
		}
		if err == nil {
			err = s.work(ctx, claim)
		}
		if err != nil {
			return claims, err
		}
		claims++
	}
}

func (s *Sender) serve(ctx context.Context, claim store.EndpointClaim) {
	if err := s.work(ctx, claim); err != nil && ctx.Err() == nil {
		s.Logger.Warn("endpoint not served; it will be tried again", zap.Int64("endpoint", claim.ID), zap.Error(err))
	}
}

// work makes attempts at the longest due deliveries of a claimed endpoint, a few at the same time, and releases it. It goes on while all are
// accepted, for as long as the claim surely lasts.
func (s *Sender) work(ctx context.Context, claim store.EndpointClaim) error {
	if err := at(s.reached, "claimed"); err != nil {
		return err
	}
	to, err := openTarget(ctx, s.Vault, claim.Secrets)
	if err != nil {
		return errors.Join(err, s.release(ctx, claim, released{failures: claim.Failures, pause: sealedPause}))
	}
	count := int32(atOnce)
	if claim.Failures > 0 {
		count = 1 // does it work again?
	}
	succeeded := false
	for began := time.Now(); ; {
		due, err := s.Store.DueDeliveries(ctx, claim.ID, count)
		if err != nil {
			return err
		}
		results, errs := make([]result, len(due)), make([]error, len(due))
		var sending sync.WaitGroup
		for i, one := range due {
			sending.Go(func() { results[i], errs[i] = s.attempt(ctx, claim, to, one) })
		}
		sending.Wait()
		if err := errors.Join(errs...); err != nil {
			return err // another process takes the endpoint when the hold has passed
		}
		end := outcomeOf(claim, results)
		succeeded = succeeded || end.success
		end.success = succeeded
		if full := len(due) == atOnce; !full || end.pause > 0 || slices.ContainsFunc(results, result.failed) || time.Since(began) > claimWork || ctx.Err() != nil {
			return s.release(ctx, claim, end)
		}
	}
}

// attempt sends one delivery and notes the outcome. After a crash in between it is sent once more, with the same webhook-id.
func (s *Sender) attempt(ctx context.Context, claim store.EndpointClaim, to target, one store.DueDelivery) (result, error) {
	// A request that has left is waited for when the service stops: the other side may have accepted it.
	posting, cancel := context.WithTimeout(context.WithoutCancel(ctx), postTimeout)
	defer cancel()
	began := time.Now()
	got := post(posting, s.Client, to, one.ID.String(), one.Body)
	s.Metrics.observe(time.Since(began))
	if err := at(s.reached, "sent"); err != nil {
		return got, err
	}
	noting, cancelNote := context.WithTimeout(context.WithoutCancel(ctx), noteTimeout)
	defer cancelNote()
	log := s.Logger.With(zap.Int64("endpoint", claim.ID), zap.Stringer("delivery", one.ID), zap.String("customer", one.Customer),
		zap.String("topic", one.Topic), zap.Int("status", got.status), zap.Int("attempt", one.Attempts+1))
	note := store.DeliveryAttempt{ID: one.ID, Status: got.status, Error: got.code, AnswerSealed: s.sealAnswer(noting, one.Customer, got.answer)}
	if !got.failed() {
		if err := s.Store.SettleDelivery(noting, note, store.DeliveryDelivered); err != nil {
			return got, err
		}
		s.Metrics.count(outcomeDelivered)
		log.Info("webhook delivered")
		return got, at(s.reached, "noted")
	}
	failed, err := s.noteFailure(noting, claim, note, max(retryDelays().After(one.Attempts+1), got.retryAfter), got.gone)
	switch {
	case err != nil:
		return got, err
	case failed:
		s.Metrics.count(outcomeFailed)
		log.Error("webhook given up", zap.String("code", got.code))
	default:
		s.Metrics.count(outcomeRetried)
		log.Info("webhook not accepted; it will be tried again", zap.String("code", got.code))
	}
	return got, at(s.reached, "noted")
}

// sealAnswer seals an answer with the customer's key: it may quote what belongs to the customer. Without a key nothing is kept.
func (s *Sender) sealAnswer(ctx context.Context, customer, answer string) []byte {
	if answer == "" {
		return nil
	}
	key, err := s.Vault.KeyOf(ctx, customer)
	if err != nil {
		return nil
	}
	sealed, err := key.Seal(purposeAnswer, []byte(answer))
	if err != nil {
		return nil
	}
	return sealed
}

// openTarget opens an endpoint's secrets. During a rotation there are two signers.
func openTarget(ctx context.Context, safe *vault.Vault, secrets store.EndpointSecrets) (target, error) {
	url, err := safe.OpenForInstallation(ctx, purposeURL, secrets.URL)
	if err != nil {
		return target{}, err
	}
	to := target{url: string(url)}
	for _, sealed := range [][]byte{secrets.Secret, secrets.Before} {
		if len(sealed) == 0 {
			continue
		}
		secret, err := safe.OpenForInstallation(ctx, purposeSecret, sealed)
		if err != nil {
			return target{}, err
		}
		signer, err := signedpost.NewSigner(string(secret))
		if err != nil {
			return target{}, err
		}
		to.signers = append(to.signers, signer)
	}
	return to, nil
}
