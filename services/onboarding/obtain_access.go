package main

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/vault"
	"rollcall.dev/pkg/virtuous"
	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

// fieldRefreshToken is the field of an error about a refresh token; the message may have it sealed.
const fieldRefreshToken = "virtuous.refreshToken"

// obtainedTokens are what Virtuous gave for the refresh token of a request.
type obtainedTokens struct {
	Access       string        `json:"access"`
	Refresh      string        `json:"refresh"`
	Life         time.Duration `json:"life"`
	RefreshAfter time.Duration `json:"refreshAfter"`
	At           time.Time     `json:"at"`
}

// times returns what is left of the access token's life at a moment.
func (o obtainedTokens) times(now time.Time) store.OAuthTimes {
	since := max(now.Sub(o.At), 0)
	return store.OAuthTimes{Life: max(o.Life-since, 0), RefreshAfter: max(o.RefreshAfter-since, 0)}
}

// keyField is the name of the credential in errors.
func (s requestSecrets) keyField() string {
	if s.VirtuousRefreshToken != "" {
		return fieldRefreshToken
	}
	return fieldVirtuousToken
}

// noteUsed adds to the errors of a request that its refresh token may be worth nothing any more.
func (s requestSecrets) noteUsed(errs rollcallv1.FieldErrors) {
	if s.Obtained != nil {
		errs.Add(fieldRefreshToken, "was used for this request: obtain a new one with POST /Token for the next request")
	}
}

// clientOf opens Virtuous with the credential of a request: its API key, or the access token for its refresh token. The check says why that
// cannot be done.
func (s *settler) clientOf(ctx context.Context, proposed *proposal) (client *virtuous.Client, check credentialCheck, err error) {
	customer, secrets := proposed.pending.Customer, proposed.secrets
	if secrets.VirtuousRefreshToken == "" {
		client, err = s.virtuous.OpenWithKey(customer, secrets.VirtuousToken, jobOnboard)
		return client, credentialCheck{}, err
	}
	if proposed.keepsTokens, err = s.hasToken(ctx, s.store.Conn, customer, secrets.VirtuousRefreshToken); err != nil {
		return nil, credentialCheck{}, err
	}
	if proposed.keepsTokens {
		client, err = s.virtuous.OpenToTest(ctx, customer, jobOnboard)
	} else {
		client, err = s.clientOfNewToken(ctx, proposed)
	}
	if err != nil {
		check, err = s.grantCheck(ctx, err)
	}
	return client, check, err
}

// clientOfNewToken obtains an access token for the refresh token of a request, unless that was done before.
func (s *settler) clientOfNewToken(ctx context.Context, proposed *proposal) (*virtuous.Client, error) {
	customer, tokens := proposed.pending.Customer, proposed.secrets.Obtained
	if tokens == nil || tokens.times(time.Now()).RefreshAfter == 0 { // the request waited until the access token had nearly ended
		given := proposed.secrets.VirtuousRefreshToken
		if tokens != nil {
			given = tokens.Refresh
		}
		grant, err := s.virtuous.Refresh(ctx, customer, given, jobOnboard)
		if err != nil {
			return nil, err
		}
		tokens = &obtainedTokens{Access: grant.Access, Refresh: grant.Refresh, Life: grant.Life, RefreshAfter: grant.RefreshAfter(), At: time.Now()}
		if err := s.keepObtained(ctx, proposed, tokens); err != nil {
			return nil, err
		}
	}
	return s.virtuous.OpenWithKey(customer, tokens.Access, jobOnboard)
}

// grantCheck returns what an error of Virtuous says of a refresh token.
func (s *settler) grantCheck(ctx context.Context, asked error) (credentialCheck, error) {
	errs := rollcallv1.FieldErrors{}
	switch {
	case errors.Is(asked, virtuous.ErrVerification):
		errs.Add(fieldRefreshToken, "is of an account with two-step verification: Virtuous asks for a code instead of giving an access token. "+
			"Give an API key, or a token of an account without it")
		return credentialCheck{rejected: errs}, nil
	case errors.Is(asked, virtuous.ErrUnauthorized):
		many, err := s.store.VirtuousRefusesMany(ctx)
		if err != nil || many {
			return credentialCheck{delayed: asked}, err
		}
		errs.Add(fieldRefreshToken, "Refresh token rejected by Virtuous API: it may have ended, or have been used before. Obtain a new one with POST /Token")
		return credentialCheck{rejected: errs}, nil
	case ctx.Err() != nil, errors.Is(asked, store.ErrUnavailable), errors.Is(asked, vault.ErrUnavailable):
		return credentialCheck{}, fmt.Errorf("obtain an access token: %w", asked)
	}
	return credentialCheck{delayed: asked}, nil
}

// keepObtained stores the tokens with the pending request, before they are tested. Virtuous may not give them a second time for the token of
// the request.
func (s *settler) keepObtained(ctx context.Context, proposed *proposal, tokens *obtainedTokens) error {
	customer := proposed.pending.Customer
	proposed.secrets.Obtained = tokens
	plain, err := json.Marshal(proposed.secrets)
	if err != nil {
		return fmt.Errorf("encode secrets: %w", err)
	}
	var kept bool
	err = s.virtuous.StoreTokens(ctx, func(ctx context.Context, tx *store.Tx) error {
		if err := tx.LockCustomer(ctx, customer); err != nil {
			return err
		}
		keys, err := s.vault.On(tx.Conn).KeyOf(ctx, customer) // an offboarding destroys the key, and ends the request
		if errors.Is(err, vault.ErrKeyGone) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("open customer's key: %w", err)
		}
		sealed, err := keys.Seal(purposeSecrets, plain)
		if err != nil {
			return fmt.Errorf("seal secrets: %w", err)
		}
		kept, err = tx.ReplaceRequestSecrets(ctx, proposed.pending.ID, sealed)
		return err
	})
	s.logger.Info("access token of Virtuous obtained", zap.String("customer", customer), zap.Bool("stored", kept), zap.Duration("life", tokens.Life))
	return err
}

// hasToken reports whether giving works with tokens that were obtained for this refresh token, or has it as the present one: the same request
// twice is one onboarding, although Virtuous may have replaced the token.
func (s *settler) hasToken(ctx context.Context, from store.Conn, customer, refreshToken string) (bool, error) {
	config, err := from.VirtuousConfig(ctx, customer)
	if errors.Is(err, store.ErrNotFound) || err == nil && !config.Enabled {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	for _, name := range []string{store.CredentialVirtuousRefreshGiven, store.CredentialVirtuousRefreshToken} {
		before, err := s.openCredential(ctx, from, customer, name)
		if err != nil {
			return false, err
		}
		if subtle.ConstantTimeCompare([]byte(before), []byte(refreshToken)) == 1 {
			return true, nil
		}
	}
	return false, nil
}

// openCredential returns a credential of the customer, "" if there is none.
func (s *settler) openCredential(ctx context.Context, from store.Conn, customer, name string) (string, error) {
	sealed, err := from.Credential(ctx, customer, name)
	if errors.Is(err, store.ErrNotFound) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	plain, err := s.vault.Open(ctx, customer, name, sealed)
	if err != nil {
		return "", fmt.Errorf("open %s: %w", name, err)
	}
	return string(plain), nil
}

// saveKey stores the credential of a request: its API key, or the tokens that were obtained for it.
func saveKey(ctx context.Context, tx *store.Tx, keys *vault.Vault, proposed proposal) error {
	customer, tokens := proposed.pending.Customer, proposed.secrets.Obtained
	switch {
	case proposed.keepsTokens:
		return nil
	case proposed.secrets.VirtuousRefreshToken == "":
		if err := tx.ForgetOAuth(ctx, customer); err != nil {
			return err
		}
		return saveSecret(ctx, tx, keys, customer, store.CredentialVirtuousToken, proposed.secrets.VirtuousToken)
	}
	pair := store.OAuthPair{Times: tokens.times(time.Now())}
	for _, one := range []struct {
		name, secret string
		into         *[]byte
	}{
		{store.CredentialVirtuousToken, tokens.Access, &pair.AccessSealed},
		{store.CredentialVirtuousRefreshToken, tokens.Refresh, &pair.RefreshSealed},
		{store.CredentialVirtuousRefreshGiven, proposed.secrets.VirtuousRefreshToken, &pair.GivenSealed},
	} {
		sealed, err := keys.Seal(ctx, customer, one.name, []byte(one.secret))
		if err != nil {
			return fmt.Errorf("seal %s: %w", one.name, err)
		}
		*one.into = sealed
	}
	return tx.SaveOAuth(ctx, customer, pair)
}
