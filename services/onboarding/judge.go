package main

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"

	"rollcall.dev/pkg/store"
	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

// verdict is what a request is to a customer as it stands.
type verdict struct {
	outcome store.RequestState
	refused rollcallv1.FieldErrors // not nil: the request is refused after all
}

// judge says whether a request is news, the same again, or overtaken. A token alone wants the customer as it stands.
func (s *settler) judge(ctx context.Context, tx *store.Tx, proposed *proposal) (verdict, error) {
	if proposed.tokenOnly {
		return s.judgeToken(ctx, tx, proposed)
	}
	customer := proposed.pending.Customer
	later, err := tx.RequestAppliedAfter(ctx, customer, proposed.pending.Origin)
	if err != nil || later {
		return verdict{outcome: store.RequestSuperseded}, err
	}
	current, err := tx.Customer(ctx, customer)
	if errors.Is(err, store.ErrNotFound) {
		return verdict{outcome: store.RequestApplied}, nil
	}
	if err != nil {
		return verdict{}, err
	}
	if current.ExternalSystemURL != proposed.wanted.ExternalSystemURL {
		// A mirror does not move by itself: everybody in it is known as written, and the new place would stay
		// empty while every number says complete.
		// The holder that writes to the old address commits nothing more: what is counted stays. A refusal takes the fence
		// back with the transaction.
		if err := tx.FenceLane(ctx, customer); err != nil {
			return verdict{}, err
		}
		mirrored, err := tx.CountMappings(ctx, customer)
		if err != nil {
			return verdict{}, err
		}
		if mirrored > 0 {
			errs := rollcallv1.FieldErrors{}
			errs.Add("externalSystemUrl", "differs from the destination in which this customer's users stand: "+
				"keep it, or change it with `rollcall config set --destination-url`, which asks whether it is the same system")
			return verdict{refused: errs}, nil
		}
	}
	return s.judgeNews(ctx, tx, current, proposed)
}

func (s *settler) judgeToken(ctx context.Context, tx *store.Tx, proposed *proposal) (verdict, error) {
	current, judged, err := judgeStanding(ctx, tx, proposed.pending)
	if err != nil || judged.outcome != store.RequestApplied {
		return judged, err
	}
	proposed.wanted = current
	return s.judgeNews(ctx, tx, current, proposed)
}

func (s *settler) judgeNews(ctx context.Context, tx *store.Tx, current store.Customer, proposed *proposal) (verdict, error) {
	same, err := s.sameAsStands(ctx, tx, current, proposed)
	if err != nil || !same {
		return verdict{outcome: store.RequestApplied}, err
	}
	return verdict{outcome: store.RequestDuplicate}, nil
}

// sameAsStands says whether the request asks for nothing that is not so already.
func (s *settler) sameAsStands(ctx context.Context, tx *store.Tx, current store.Customer, proposed *proposal) (bool, error) {
	if !sameConfig(current, proposed.wanted) {
		return false, nil
	}
	owed, err := owesBackfill(ctx, tx, current)
	if err != nil {
		return false, err
	}
	if owed {
		// A backfill that was given up or parked is what the repetition is for.
		run, err := tx.OpenRun(ctx, current.ID)
		if errors.Is(err, store.ErrNotFound) {
			return false, nil
		}
		if err != nil || run.State == store.RunParked {
			return false, err
		}
	}
	same, err := s.sameSecret(ctx, tx, current.ID, store.CredentialVomoToken, proposed.secrets.VomoToken)
	if err != nil || !same || proposed.tokenOnly {
		return same && err == nil, err
	}
	return s.sameSecret(ctx, tx, current.ID, store.CredentialDestinationToken, proposed.secrets.DestinationToken)
}

func (s *settler) sameSecret(ctx context.Context, tx *store.Tx, customer, name, secret string) (bool, error) {
	sealed, err := tx.Credential(ctx, customer, name)
	if errors.Is(err, store.ErrNotFound) {
		return secret == "", nil
	}
	if err != nil {
		return false, err
	}
	plain, err := s.vault.Open(ctx, customer, name, sealed)
	if err != nil {
		return false, err
	}
	return subtle.ConstantTimeCompare(plain, []byte(secret)) == 1, nil
}

func sameConfig(current, wanted store.Customer) bool {
	return current.Enabled && current.OffboardedAt == nil && current.ExternalSystemURL == wanted.ExternalSystemURL &&
		current.PollCadenceMinutes == wanted.PollCadenceMinutes && equal(current.AdminEmail, wanted.AdminEmail) &&
		equal(current.RequestsPerSecond, wanted.RequestsPerSecond) && equal(current.RequestsPerMinute, wanted.RequestsPerMinute) &&
		sameDestination(current.Destination, wanted.Destination) && sameWindow(current, wanted)
}

// sameDestination compares what is stored, not its bytes: Postgres writes JSON in its own way.
func sameDestination(current, wanted []byte) bool {
	var one, other storedDestination
	return json.Unmarshal(current, &one) == nil && json.Unmarshal(wanted, &other) == nil && one == other
}

func equal[T comparable](a, b *T) bool {
	if a == nil || b == nil {
		return a == b
	}
	return *a == *b
}
