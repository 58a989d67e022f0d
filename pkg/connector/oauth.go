package connector

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.uber.org/zap"

	"rollcall.dev/pkg/backoff"
	"rollcall.dev/pkg/budget"
	"rollcall.dev/pkg/fault"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/vault"
	"rollcall.dev/pkg/virtuous"
)

const (
	// lookAgainAfter is how often a process looks whether another one has obtained the next access token.
	lookAgainAfter = 250 * time.Millisecond
	// longestTurn is longer than a request waits for the budget before it is put off.
	longestTurn = 25 * time.Second
)

// access is what a client's requests are sent with: an API key, or an access token that is replaced in time (decision 0064).
type access struct {
	virtuous *Virtuous
	customer string
	account  *budget.HourlyAccount

	mu    sync.Mutex // one renewal at a time
	found store.VirtuousKey
	key   string
}

// load reads and opens the customer's key, or its access token. Errors: ErrNoCredential.
func (a *access) load(ctx context.Context) error {
	found, err := a.virtuous.Store.VirtuousKey(ctx, a.customer)
	if errors.Is(err, store.ErrNotFound) {
		return ErrNoCredential
	}
	if err != nil {
		return err
	}
	key, err := a.virtuous.Vault.Open(ctx, a.customer, store.CredentialVirtuousToken, found.Sealed)
	if err != nil {
		return fmt.Errorf("open the key: %w", err)
	}
	a.found, a.key = found, string(key)
	return nil
}

// renewIfDue replaces an access token whose end is near. While it is still valid, only a rejection of the refresh token is an error: in an
// outage of Virtuous, and while another process asks, requests go on with it.
func (a *access) renewIfDue(ctx context.Context) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	for a.found.IsOAuth && a.found.IsDue {
		if (a.found.IsLeased || a.found.Failure == store.OAuthUnavailable) && !a.found.IsExpired {
			return nil
		}
		switch a.found.Failure {
		case store.OAuthRefused:
			return refusedBefore(virtuous.ErrRefreshRefused)
		case store.OAuthVerification:
			return refusedBefore(virtuous.ErrVerification)
		case store.OAuthUnavailable:
			return unavailableBefore()
		}
		err := a.next(ctx)
		if err == nil {
			continue
		}
		if !a.found.IsExpired && !errors.Is(err, virtuous.ErrUnauthorized) && ctx.Err() == nil {
			a.virtuous.Logger.Warn("access token not refreshed; the present one is used", zap.String("customer", a.customer), zap.Error(err))
			return nil
		}
		return err
	}
	return nil
}

// renew returns the access token that replaces a rejected one, and the rejected one if there is none: an API key, a token that was obtained
// just now, or a refresh token that Virtuous rejects. It is virtuous.Config.Renew.
func (a *access) renew(ctx context.Context, rejected string) (string, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.found.IsOAuth || a.key != rejected { // another goroutine renewed it
		return a.key, nil
	}
	if err := a.load(ctx); err != nil {
		return "", err
	}
	for a.key == rejected {
		switch {
		case !a.found.IsOAuth, a.found.IsNew, a.found.Failure == store.OAuthRefused, a.found.Failure == store.OAuthVerification:
			return rejected, nil
		case a.found.Failure == store.OAuthUnavailable:
			return "", unavailableBefore()
		}
		if err := a.next(ctx); err != nil {
			if errors.Is(err, virtuous.ErrUnauthorized) {
				return rejected, nil
			}
			return "", err
		}
	}
	return a.key, nil
}

// next has the next pair of tokens obtained, by this process or by the one that has the lease, and loads what there is then.
func (a *access) next(ctx context.Context) error {
	lease, err := a.virtuous.Store.ClaimOAuth(ctx, a.customer, a.found.Version, a.virtuous.longestRefresh())
	switch {
	case errors.Is(err, store.ErrNotFound):
		err = a.virtuous.sleep(ctx, lookAgainAfter)
	case err == nil:
		err = a.ask(ctx, lease)
	}
	if err != nil {
		return err
	}
	return a.load(ctx)
}

// longestRefresh is longer than two requests take, each with its wait for the budget. A lease that ended earlier would have two processes ask
// with the same refresh token.
func (v *Virtuous) longestRefresh() time.Duration { return 2*(longestTurn+v.Timeout) + confirmAfter }

// ask obtains and stores the pair that follows the lease's. It returns nil also if another process did that in the meantime. Everything that
// may fail on our side is done before: once Virtuous has the request, it may count the refresh token as used up.
func (a *access) ask(ctx context.Context, lease store.OAuthLease) error {
	keys, refresh, err := a.open(ctx, lease)
	if err == nil {
		err = waiting(ctx, func(ctx context.Context) error { return a.account.Wait(ctx, budget.ForSubmissions) })
	}
	if err != nil {
		return errors.Join(err, a.virtuous.Store.ReleaseOAuth(context.WithoutCancel(ctx), lease))
	}
	grant, err := a.virtuous.refresh(ctx, a.account, refresh)
	if err != nil {
		return a.fail(ctx, lease, err)
	}
	sealedAccess, err := keys.Seal(store.CredentialVirtuousToken, []byte(grant.Access))
	if err != nil {
		return fmt.Errorf("seal the access token: %w", err)
	}
	sealedRefresh, err := keys.Seal(store.CredentialVirtuousRefreshToken, []byte(grant.Refresh))
	if err != nil {
		return fmt.Errorf("seal the refresh token: %w", err)
	}
	var saved bool
	err = a.virtuous.StoreTokens(ctx, func(ctx context.Context, tx *store.Tx) error {
		if err := tx.LockCustomer(ctx, a.customer); err != nil { // as an onboarding and an offboarding, which replace or delete the tokens
			return err
		}
		var err error
		times := store.OAuthTimes{Life: grant.Life, RefreshAfter: grant.RefreshAfter()}
		saved, err = tx.SaveOAuthPair(ctx, lease, sealedAccess, sealedRefresh, times)
		return err
	})
	if err != nil {
		return err
	}
	a.virtuous.Logger.Info("access token of Virtuous refreshed", zap.String("customer", a.customer), zap.Bool("stored", saved),
		zap.Bool("rotated", grant.IsRotated), zap.Duration("life", grant.Life))
	return nil
}

// open returns the customer's data key and the refresh token. Errors: ErrNoCredential.
func (a *access) open(ctx context.Context, lease store.OAuthLease) (keys vault.CustomerKey, refresh string, err error) {
	if len(lease.RefreshSealed) == 0 {
		return keys, "", ErrNoCredential
	}
	if keys, err = a.virtuous.Vault.KeyOf(ctx, a.customer); err != nil {
		return keys, "", fmt.Errorf("open customer's key: %w", err)
	}
	plain, err := keys.Open(store.CredentialVirtuousRefreshToken, lease.RefreshSealed)
	if err != nil {
		return keys, "", fmt.Errorf("open the refresh token: %w", err)
	}
	return keys, string(plain), nil
}

// fail ends a lease after a failure. It returns nil if the lease has passed to another process: what that one finds counts.
func (a *access) fail(ctx context.Context, lease store.OAuthLease, cause error) error {
	failure := store.OAuthUnavailable
	switch {
	case errors.Is(cause, virtuous.ErrVerification):
		failure = store.OAuthVerification
	case errors.Is(cause, virtuous.ErrUnauthorized):
		failure = store.OAuthRefused
	}
	pause, _ := fault.After(cause)
	a.virtuous.Logger.Warn("access token of Virtuous not refreshed", zap.String("customer", a.customer), zap.Error(cause))
	noted, err := a.virtuous.Store.FailOAuth(context.WithoutCancel(ctx), lease, failure, pause) // what Virtuous answered counts
	switch {
	case err != nil:
		return errors.Join(cause, err)
	case !noted:
		return nil
	}
	return cause
}

// Refresh obtains the first access token of a customer for a refresh token. The caller must store what it returns, with StoreTokens.
func (v *Virtuous) Refresh(ctx context.Context, customer, refreshToken, job string) (virtuous.Grant, error) {
	account, err := v.account(customer, job)
	if err != nil {
		return virtuous.Grant{}, err
	}
	if err := account.Wait(ctx, budget.ForSubmissions); err != nil {
		return virtuous.Grant{}, err
	}
	return v.refresh(ctx, account, refreshToken)
}

// refresh asks Virtuous, and asks it a second time before a refresh token counts as rejected, as for a key: one such answer may come from
// something between. A request that has begun does not end with ctx: its answer may have the only token that is worth something.
func (v *Virtuous) refresh(ctx context.Context, account *budget.HourlyAccount, refreshToken string) (virtuous.Grant, error) {
	config := virtuous.Config{BaseURL: v.BaseURL, Transport: v.Transport, Timeout: v.Timeout}
	grant, err := virtuous.Refresh(context.WithoutCancel(ctx), config, refreshToken)
	if !errors.Is(err, virtuous.ErrRefreshRefused) {
		return grant, err
	}
	if err := errors.Join(v.sleep(ctx, confirmAfter), account.Wait(ctx, budget.ForSubmissions)); err != nil {
		return grant, fmt.Errorf("ask again about the refresh token: %w", err)
	}
	return virtuous.Refresh(context.WithoutCancel(ctx), config, refreshToken)
}

// storeTries is how often new tokens are tried to be stored: for some two minutes.
const storeTries = 30

// StoreTokens stores what Virtuous gave. It goes on for some two minutes while Postgres is away, also if ctx ends: if the tokens are lost,
// Virtuous may reject the refresh token that is stored.
func (v *Virtuous) StoreTokens(ctx context.Context, save func(ctx context.Context, tx *store.Tx) error) error {
	ctx = context.WithoutCancel(ctx)
	delays := backoff.Delays{First: 200 * time.Millisecond, Longest: 5 * time.Second}
	for tries := 1; ; tries++ {
		err := v.Store.InTx(ctx, save)
		if err == nil || tries == storeTries || !errors.Is(err, store.ErrUnavailable) {
			return err
		}
		if err := v.sleep(ctx, delays.After(tries)); err != nil {
			return err
		}
	}
}

func (v *Virtuous) sleep(ctx context.Context, pause time.Duration) error {
	if v.Sleep != nil {
		return v.Sleep(ctx, pause)
	}
	return backoff.Sleep(ctx, pause)
}

// refusedBefore is the rejection of a refresh token that Virtuous is not asked about again yet.
func refusedBefore(err error) error {
	return fault.Unknown("virtuous_refresh_refused", fmt.Errorf("refresh the access token: %w", err))
}

func unavailableBefore() error {
	return fault.Unknown("virtuous_refresh_unavailable", fmt.Errorf("refresh the access token: it failed within the last minute: %w", virtuous.ErrUnavailable))
}
