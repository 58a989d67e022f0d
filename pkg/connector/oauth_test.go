package connector_test

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/connector"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/virtuous"
)

func TestAccessTokenIsRefreshedADayBeforeItEnds(t *testing.T) {
	t.Parallel()
	for _, rotates := range []bool{true, false} {
		f := newOAuthFixture(t)
		f.server.set(func(s *tokenServer) { s.rotates = rotates })
		before := f.stored()
		f.exec(`UPDATE credentials SET updated_at = '2026-01-01'`)

		f.wait(due - time.Minute)
		require.NoError(t, f.use(0))
		f.requireAsked(1, 1, "it is not due yet")
		f.wait(time.Minute)
		require.NoError(t, f.use(0))
		require.NoError(t, f.use(1))
		f.requireAsked(2, 2)

		refresh := before[store.CredentialVirtuousRefreshToken]
		if rotates {
			refresh = "refresh-3"
		}
		require.Equal(t, map[string]string{
			store.CredentialVirtuousToken: "access-2", store.CredentialVirtuousRefreshToken: refresh, store.CredentialVirtuousRefreshGiven: "refresh-1",
		}, f.stored())
		var touched int
		require.NoError(t, f.pool.QueryRow(t.Context(), `SELECT count(*) FROM credentials WHERE updated_at > '2026-01-01'`).Scan(&touched))
		require.Zero(t, touched, "what waits for a new credential still waits")

		f.wait(due)
		require.NoError(t, f.use(1))
		f.requireAsked(3, 3, "and again")
		f.requireDiscreet()
	}
}

func TestRejectedAccessTokenIsReplacedOnce(t *testing.T) {
	t.Parallel()
	f := newOAuthFixture(t)
	f.wait(2 * time.Minute)
	client, err := f.open(0)
	require.NoError(t, err)
	other, err := f.open(1)
	require.NoError(t, err)
	f.server.set(func(s *tokenServer) { s.access = -1 })

	_, err = client.Organization(t.Context())
	require.NoError(t, err)
	f.requireAsked(2, 2)
	require.Equal(t, "access-2", f.stored()[store.CredentialVirtuousToken])
	_, err = other.Organization(t.Context())
	require.NoError(t, err, "the other process takes the stored token")
	f.requireAsked(2, 2)

	f.server.set(func(s *tokenServer) { s.access = -1 })
	for range 3 {
		_, err = client.Organization(t.Context())
		require.ErrorIs(t, err, virtuous.ErrUnauthorized, "the new one, too, is rejected")
	}
	f.requireAsked(2, 2)
	f.wait(time.Minute)
	_, err = client.Organization(t.Context())
	require.NoError(t, err)
	f.requireAsked(3, 3)
	f.requireDiscreet()
}

func TestManyRequestsThatAreRejectedAtOnceMakeOneRefresh(t *testing.T) {
	t.Parallel()
	for name, prepare := range map[string]func(*oauthFixture){
		"expired":  func(f *oauthFixture) { f.wait(lifetime) },
		"rejected": func(f *oauthFixture) { f.wait(2 * time.Minute) },
		"due":      func(f *oauthFixture) { f.wait(due) },
	} {
		f := newOAuthFixture(t)
		prepare(f)
		f.server.set(func(s *tokenServer) { s.access = -1 })
		var running sync.WaitGroup
		failed := make(chan error, 12)
		for i := range cap(failed) {
			running.Go(func() { failed <- f.use(i % 2) })
		}
		running.Wait()
		for range cap(failed) {
			require.NoError(t, <-failed, name)
		}
		f.requireAsked(2, 2, name)
	}
}

// Each kind of failure is asked about again after its own time, and never in between.
func TestFailedRefresh(t *testing.T) {
	t.Parallel()
	const week = 7 * 24 * time.Hour
	for _, test := range []struct {
		name    string
		answer  tokenAnswer
		is      error // once the access token has ended
		isKey   bool  // it is so while the access token still works
		failure string
		asks    int           // requests of one refresh
		quiet   time.Duration // nothing is asked again within it
		again   time.Duration // and it is after it; 0: never
	}{
		{"refused", tokenAnswer{400, `{"error":"invalid_grant","x":"s3cret"}`}, virtuous.ErrRefreshRefused, true, "refused", 2, 29 * time.Minute, 2 * time.Minute},
		{"unauthorized", tokenAnswer{401, `s3cret`}, virtuous.ErrRefreshRefused, true, "refused", 2, 29 * time.Minute, 2 * time.Minute},
		{"verification", tokenAnswer{202, `{"error":"awaiting_verification"}`}, virtuous.ErrVerification, true, "verification", 1, 52 * week, 0},
		{"outage", tokenAnswer{503, `<html>s3cret`}, virtuous.ErrUnavailable, false, "unavailable", 1, 59 * time.Second, 2 * time.Second},
		{"broken", tokenAnswer{200, `{"access_token":"s3cret`}, virtuous.ErrUnavailable, false, "unavailable", 1, 59 * time.Second, 2 * time.Second},
		{"no token", tokenAnswer{200, `{"refresh_token":"s3cret"}`}, virtuous.ErrUnavailable, false, "unavailable", 1, 59 * time.Second, 2 * time.Second},
		{"moved", tokenAnswer{302, ``}, virtuous.ErrUnavailable, false, "unavailable", 1, 59 * time.Second, 2 * time.Second},
	} {
		f := newOAuthFixture(t)
		f.server.set(func(s *tokenServer) { s.answer = &test.answer })
		f.wait(due)
		first := f.use(0)
		require.Equal(t, test.isKey, first != nil, test.name)
		f.requireAsked(1+test.asks, 1, test.name)
		require.Equal(t, test.failure, f.failure(), test.name)

		f.wait(24 * time.Hour)
		ended := f.use(1) // asks again, unless a person is to be asked for a code
		asked := 1 + test.asks
		if test.again > 0 {
			asked += test.asks
		}
		f.requireAsked(asked, 1, test.name)
		require.Error(t, ended, test.name)
		f.wait(test.quiet)
		second := f.use(0)
		require.ErrorIs(t, second, test.is, test.name)
		require.Equal(t, test.isKey, isKey(second), test.name)
		f.requireAsked(asked, 1, test.name)
		f.requireDiscreet(first, ended, second)

		f.server.set(func(s *tokenServer) { s.answer = nil })
		if test.again == 0 {
			require.ErrorIs(t, f.use(0), test.is, test.name)
			f.requireAsked(asked, 1, test.name)
			continue
		}
		f.wait(test.again)
		require.NoError(t, f.use(0), test.name)
		f.requireAsked(asked+1, 2, test.name)
		require.Empty(t, f.failure(), test.name)
	}
}

// isKey reports whether an error counts as a rejected key.
func isKey(err error) bool { return errors.Is(err, virtuous.ErrUnauthorized) }

func TestOneWrongRejectionOfARefreshTokenStopsNothing(t *testing.T) {
	t.Parallel()
	f := newOAuthFixture(t)
	f.wait(due)
	f.server.set(func(s *tokenServer) {
		s.answer = &tokenAnswer{http.StatusUnauthorized, ""}
		s.reached = func() { f.server.set(func(s *tokenServer) { s.answer, s.reached = nil, nil }) }
	})
	require.NoError(t, f.use(0))
	f.requireAsked(3, 2)
	require.Empty(t, f.failure())
}

func TestRejectedRefreshAfterARejectedAccessTokenIsThatOfTheKey(t *testing.T) {
	t.Parallel()
	f := newOAuthFixture(t)
	f.wait(2 * time.Minute)
	f.server.set(func(s *tokenServer) { s.access, s.refresh = -1, -1 })
	for range 3 {
		require.ErrorIs(t, f.use(0), virtuous.ErrUnauthorized)
	}
	f.requireAsked(3, 1, "asked about twice, and not again")

	f.wait(31 * time.Minute)
	f.server.set(func(s *tokenServer) { s.answer = &tokenAnswer{http.StatusBadGateway, ""} })
	err := f.use(0)
	require.ErrorIs(t, err, virtuous.ErrUnavailable, "nothing is known of the key now")
	require.NotErrorIs(t, err, virtuous.ErrUnauthorized)
	err = f.use(1)
	require.ErrorIs(t, err, virtuous.ErrUnavailable)
	require.NotErrorIs(t, err, virtuous.ErrUnauthorized)
	f.requireAsked(4, 1)
}

// die has the process of a refresh die when Virtuous has replaced the tokens: what it would store is lost.
func (f *oauthFixture) die() {
	f.t.Helper()
	f.server.set(func(s *tokenServer) { s.reached = func() { f.processes[0].Store.Close() } })
	require.Error(f.t, f.use(0))
	f.server.set(func(s *tokenServer) { s.reached = nil })
}

func TestProcessDiesBeforeItStoresTheTokens(t *testing.T) {
	t.Parallel()
	for _, rotates := range []bool{true, false} {
		f := newOAuthFixture(t)
		f.server.set(func(s *tokenServer) { s.rotates = rotates })
		f.wait(lifetime)
		f.die()
		f.processes[0].Store = f.processes[1].Store
		require.Equal(t, "access-1", f.stored()[store.CredentialVirtuousToken], "the stored pair is the one before, as a whole")
		require.Equal(t, "refresh-2", f.stored()[store.CredentialVirtuousRefreshToken])

		f.wait(2 * time.Minute) // the lease of the dead process ends
		err := f.use(1)
		if rotates {
			require.ErrorIs(t, err, virtuous.ErrRefreshRefused, "a person must give another token")
			require.Equal(t, "refused", f.failure())
			continue
		}
		require.NoError(t, err)
		require.Equal(t, "access-3", f.stored()[store.CredentialVirtuousToken])
	}
}

// While one process waits for Virtuous, its lease ends, and another one asks. Virtuous rejects that one, because the first got the tokens.
func TestTokensOfASlowProcessCountAlsoAfterItsLease(t *testing.T) {
	t.Parallel()
	f := newOAuthFixture(t)
	f.wait(lifetime)
	reached, released := make(chan struct{}), make(chan struct{})
	f.server.set(func(s *tokenServer) {
		s.reached = func() {
			f.server.set(func(s *tokenServer) { s.reached = nil })
			close(reached)
			<-released
		}
	})
	slow := make(chan error, 1)
	go func() { slow <- f.use(0) }()
	<-reached
	f.wait(2 * time.Minute)
	require.ErrorIs(t, f.use(1), virtuous.ErrRefreshRefused)
	close(released)
	require.NoError(t, <-slow)
	require.Equal(t, "refresh-3", f.stored()[store.CredentialVirtuousRefreshToken])
	require.NoError(t, f.use(1))
	require.Empty(t, f.failure())
}

// What a refresh brings is dropped if the customer has other credentials by then, or none.
func TestRefreshReplacesNoOtherCredential(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(ctx context.Context, f *oauthFixture, tx *store.Tx) error{
		"an API key": func(ctx context.Context, f *oauthFixture, tx *store.Tx) error {
			sealed, err := f.vault.Seal(ctx, "acme", store.CredentialVirtuousToken, []byte("ap1-key"))
			if err != nil {
				return err
			}
			if err := tx.ForgetOAuth(ctx, "acme"); err != nil {
				return err
			}
			return tx.SaveCredential(ctx, "acme", store.CredentialVirtuousToken, sealed)
		},
		"offboarded": func(ctx context.Context, _ *oauthFixture, tx *store.Tx) error {
			_, err := tx.OffboardCustomer(ctx, "acme")
			return err
		},
	} {
		f := newOAuthFixture(t)
		f.wait(lifetime)
		f.server.set(func(s *tokenServer) {
			s.reached = func() {
				if err := f.processes[1].Store.InTx(context.WithoutCancel(t.Context()), func(ctx context.Context, tx *store.Tx) error {
					if err := tx.LockCustomer(ctx, "acme"); err != nil {
						return err
					}
					return change(ctx, f, tx)
				}); err != nil {
					panic(http.ErrAbortHandler)
				}
			}
		})
		err := f.use(0)
		f.requireAsked(2, 2, name)
		if name == "offboarded" {
			require.ErrorIs(t, err, connector.ErrNoCredential)
			require.Empty(t, f.stored())
			continue
		}
		require.NoError(t, err, "requests go on with the key")
		require.Equal(t, map[string]string{store.CredentialVirtuousToken: "ap1-key"}, f.stored())
	}
}

func TestAPIKeyIsNeverRefreshed(t *testing.T) {
	t.Parallel()
	f := newOAuthFixture(t)
	require.NoError(t, f.processes[0].Store.InTx(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		return tx.ForgetOAuth(ctx, "acme")
	}))
	f.wait(400 * 24 * time.Hour)
	require.NoError(t, f.use(0))
	f.server.set(func(s *tokenServer) { s.access = -1 })
	require.ErrorIs(t, f.use(0), virtuous.ErrUnauthorized)
	f.requireAsked(1, 1)
}

func TestRowWithoutARefreshTokenIsNoCredential(t *testing.T) {
	t.Parallel()
	f := newOAuthFixture(t)
	f.exec(`DELETE FROM credentials WHERE name = 'virtuous_refresh_token'`)
	f.wait(lifetime)
	require.ErrorIs(t, f.use(0), connector.ErrNoCredential)
	f.requireAsked(1, 1)
}
