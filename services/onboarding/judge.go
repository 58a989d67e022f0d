package main

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"maps"
	"slices"

	"rollcall.dev/pkg/store"
	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

// verdict says what a request means for the customer as it is.
type verdict struct {
	outcome  store.RequestState
	rejected rollcallv1.FieldErrors // not nil: the request is rejected
}

// errSidesChanged means that a later request was applied while this one was tested: it is settled again.
var errSidesChanged = errors.New("a later request was applied meanwhile")

// judge returns what the request means for its sides together, and leaves in the proposal those that change something.
func (s *settler) judge(ctx context.Context, tx *store.Tx, proposed *proposal) (verdict, error) {
	later, err := tx.RequestAppliedAfter(ctx, proposed.pending.Customer, proposed.pending.Origin)
	if err != nil {
		return verdict{}, err
	}
	switch left := proposed.sides.Without(later); {
	case left.None():
		return verdict{outcome: store.RequestSuperseded}, nil
	case left != proposed.sides:
		return verdict{}, errSidesChanged
	}
	both := verdict{outcome: store.RequestDuplicate}
	for _, side := range []struct {
		proposed *bool
		judge    func(context.Context, *store.Tx, *proposal) (verdict, error)
	}{{&proposed.sides.Mirror, s.judgeMirror}, {&proposed.sides.Giving, s.judgeGiving}} {
		if !*side.proposed {
			continue
		}
		one, err := side.judge(ctx, tx, proposed)
		if err != nil {
			return verdict{}, err
		}
		switch {
		case one.rejected != nil:
			if both.rejected == nil {
				both.rejected = rollcallv1.FieldErrors{}
			}
			maps.Copy(both.rejected, one.rejected)
		case one.outcome == store.RequestApplied:
			both.outcome = store.RequestApplied
		default:
			*side.proposed = false
		}
	}
	return both, nil
}

// judgeMirror returns whether the request changes something of the mirror. A token-only request keeps the customer's settings.
func (s *settler) judgeMirror(ctx context.Context, tx *store.Tx, proposed *proposal) (verdict, error) {
	customer := proposed.pending.Customer
	if proposed.tokenOnly {
		current, errs, err := tokenOwner(ctx, tx.Conn, customer)
		if err != nil || errs != nil {
			return verdict{rejected: errs}, err
		}
		proposed.wanted = current
		return s.judgeSettings(ctx, tx, current, proposed)
	}
	current, err := tx.Customer(ctx, customer)
	if errors.Is(err, store.ErrNotFound) {
		return verdict{outcome: store.RequestApplied}, nil
	}
	if err != nil {
		return verdict{}, err
	}
	if current.ExternalSystemURL != proposed.wanted.ExternalSystemURL {
		// Users are not written again for a new address: they are mapped as written, so the new system would stay empty while the
		// status says complete. The fence keeps the lane's holder from committing, so the count of users is final. If the request
		// is rejected, the fence is rolled back with the transaction.
		if err := tx.FenceLane(ctx, customer); err != nil {
			return verdict{}, err
		}
		mirrored, err := tx.CountMappings(ctx, customer)
		if err != nil {
			return verdict{}, err
		}
		if mirrored > 0 {
			errs := rollcallv1.FieldErrors{}
			errs.Add("externalSystemUrl", "differs from the destination that has this customer's users: "+
				"keep it, or change it with `rollcall config set --destination-url`, which asks whether it is the same system")
			return verdict{rejected: errs}, nil
		}
	}
	return s.judgeSettings(ctx, tx, current, proposed)
}

func (s *settler) judgeSettings(ctx context.Context, tx *store.Tx, current store.Customer, proposed *proposal) (verdict, error) {
	same, err := s.isUnchanged(ctx, tx, current, proposed)
	if err != nil || !same {
		return verdict{outcome: store.RequestApplied}, err
	}
	return verdict{outcome: store.RequestDuplicate}, nil
}

// isUnchanged returns whether the request asks for nothing new.
func (s *settler) isUnchanged(ctx context.Context, tx *store.Tx, current store.Customer, proposed *proposal) (bool, error) {
	if !isSameConfig(current, proposed.wanted) {
		return false, nil
	}
	owed, err := needsBackfill(ctx, tx, current)
	if err != nil {
		return false, err
	}
	if owed {
		// If the backfill was given up or parked, the repeated request starts it again.
		run, err := tx.OpenRun(ctx, current.ID, store.KindBackfill)
		if errors.Is(err, store.ErrNotFound) {
			return false, nil
		}
		if err != nil || run.State == store.RunParked {
			return false, err
		}
	}
	same, err := s.isSameSecret(ctx, tx, current.ID, store.CredentialVomoToken, proposed.secrets.VomoToken)
	if err != nil || !same || proposed.tokenOnly {
		return same && err == nil, err
	}
	return s.isSameSecret(ctx, tx, current.ID, store.CredentialDestinationToken, proposed.secrets.DestinationToken)
}

func (s *settler) isSameSecret(ctx context.Context, tx *store.Tx, customer, name, secret string) (bool, error) {
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

func isSameConfig(current, wanted store.Customer) bool {
	return current.Enabled && current.OffboardedAt == nil && current.ExternalSystemURL == wanted.ExternalSystemURL &&
		current.PollCadenceMinutes == wanted.PollCadenceMinutes && equal(current.AdminEmail, wanted.AdminEmail) &&
		equal(current.RequestsPerSecond, wanted.RequestsPerSecond) && equal(current.RequestsPerMinute, wanted.RequestsPerMinute) &&
		isSameDestination(current.Destination, wanted.Destination) && isSameWindow(current, wanted) &&
		isSameWriteBack(current, wanted) &&
		current.Participations == wanted.Participations
}

// isSameDestination compares values, not bytes, because Postgres formats JSON in its own way.
func isSameDestination(current, wanted []byte) bool {
	var one, other storedDestination
	return json.Unmarshal(current, &one) == nil && json.Unmarshal(wanted, &other) == nil && one == other
}

// isSameWriteBack compares values, as isSameDestination does. The order of the fields means nothing.
func isSameWriteBack(current, wanted store.Customer) bool {
	one, err := current.WritesBack()
	other, err2 := wanted.WritesBack()
	slices.Sort(one.Fields)
	slices.Sort(other.Fields)
	return err == nil && err2 == nil && one.Create == other.Create && slices.Equal(one.Fields, other.Fields)
}

func equal[T comparable](a, b *T) bool {
	if a == nil || b == nil {
		return a == b
	}
	return *a == *b
}
