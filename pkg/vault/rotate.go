package vault

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"rollcall.dev/pkg/store"
)

// ErrNothingToRotateTo means that there is no key besides the one that has sealed everything.
var ErrNothingToRotateTo = errors.New("there is no key to rotate to: give the new one as SECRETS_URL_NEXT, to the services first and then to this command")

// ErrSomeNotOpened means that none of the keeper's keys could open some stored keys. They were not changed.
var ErrSomeNotOpened = errors.New("some keys could not be opened, and stay as they are")

// Rotation seals the customers' and the installation's keys again with a new key. The data that those keys sealed
// does not change.
type Rotation struct {
	Keeper *Keeper
	Store  *store.Store
	DryRun bool // open everything and count; write nothing
}

// Rotated is what a rotation did, or what a dry run would do.
type Rotated struct {
	KeyID        string            `json:"keyId"` // the key that seals from now on
	Customers    Resealed          `json:"customers"`
	Installation Resealed          `json:"installation"`
	Failed       map[string]string `json:"failed"` // by owner: why its key could not be opened
}

// Resealed counts keys.
type Resealed struct {
	Resealed int `json:"resealed"` // in a dry run: keys that would be resealed
	Already  int `json:"already"`  // already sealed by that key
	Gone     int `json:"gone"`     // destroyed, or resealed by another process, meanwhile
}

const rotationPage = 500

// Target returns the key that a rotation would rotate to. The operator must give it to the services first.
func (r *Rotation) Target(ctx context.Context) (id string, err error) {
	sealing, err := r.Store.SealingKey(ctx)
	if err != nil {
		return "", err
	}
	return r.target(ctx, r.Store.Conn, sealing)
}

// target returns the newest key of the keeper, unless it has sealed everything already: the key of SECRETS_URL_NEXT, or
// the last line of the key file.
func (r *Rotation) target(ctx context.Context, conn store.Conn, sealing string) (id string, err error) {
	counts, err := conn.KeysBySealer(ctx)
	if err != nil {
		return "", err
	}
	ids := r.Keeper.IDs()
	newest := ids[len(ids)-1]
	delete(counts, newest)
	done := len(counts) == 0 && (sealing == newest || (sealing == "" && len(ids) == 1))
	if done && !r.Keeper.rotatesItself(newest) {
		return "", ErrNothingToRotateTo
	}
	return newest, nil
}

// Run rotates. It may be interrupted at any row and run again: until the last key is resealed both keys are needed,
// and each row names its key. Failures of single keys are in the result, with ErrSomeNotOpened.
func (r *Rotation) Run(ctx context.Context) (Rotated, error) {
	done := Rotated{Failed: map[string]string{}}
	if err := r.probe(ctx); err != nil {
		return done, err
	}
	var err error
	if r.DryRun {
		done.KeyID, err = r.Target(ctx)
	} else {
		done.KeyID, err = r.begin(ctx)
	}
	if err != nil {
		return done, err
	}
	err = r.each(ctx, func(key store.NamedKey, own bool) error {
		if own {
			return r.one(ctx, key, "", r.Store.ReplaceInstallationKey, &done, &done.Installation)
		}
		return r.one(ctx, key, "customer ", r.Store.ReplaceCustomerKey, &done, &done.Customers)
	})
	if err != nil {
		return done, err
	}
	if len(done.Failed) > 0 {
		return done, fmt.Errorf("%d of them, %s first: %w", len(done.Failed), slices.Sorted(maps.Keys(done.Failed))[0], ErrSomeNotOpened)
	}
	return done, nil
}

// each visits every stored key, page by page, the installation's own first.
func (r *Rotation) each(ctx context.Context, visit func(key store.NamedKey, own bool) error) error {
	own, err := r.Store.InstallationKeys(ctx)
	if err != nil {
		return err
	}
	for _, key := range own {
		if err := visit(key, true); err != nil {
			return err
		}
	}
	for after := ""; ; {
		keys, err := r.Store.CustomerKeys(ctx, after, rotationPage)
		if err != nil || len(keys) == 0 {
			return err
		}
		for _, key := range keys {
			if err := visit(key, false); err != nil {
				return err
			}
		}
		after = keys[len(keys)-1].Name
	}
}

// probe opens one stored key per sealing key. If the keeper does not have one of them, the rotation does not start:
// otherwise the services would seal with a key that was meant for another installation.
func (r *Rotation) probe(ctx context.Context) error {
	probed := map[string]bool{}
	return r.each(ctx, func(key store.NamedKey, _ bool) error {
		if probed[key.KeyID] {
			return nil
		}
		probed[key.KeyID] = true
		plain, err := r.Keeper.open(ctx, key.KeyID, key.Sealed)
		clear(plain)
		return err
	})
}

// begin decides which key seals from now on. The lock on the row keeps other processes from adding a key that is sealed
// by the old one.
func (r *Rotation) begin(ctx context.Context) (target string, err error) {
	err = r.Store.InTx(ctx, func(ctx context.Context, tx *store.Tx) error {
		sealing, err := tx.LockSealingKey(ctx)
		if err != nil {
			return err
		}
		if target, err = r.target(ctx, tx.Conn, sealing); err != nil {
			return err
		}
		return tx.SetSealingKey(ctx, target)
	})
	return target, err
}

// one reseals a key if needed. Its statement replaces only what was read, so that a key that was destroyed meanwhile
// stays destroyed.
func (r *Rotation) one(ctx context.Context, key store.NamedKey, kind string,
	replace func(context.Context, store.NamedKey, store.SealedKey) (bool, error), done *Rotated, counts *Resealed,
) error {
	if key.KeyID == done.KeyID && !r.Keeper.rotatesItself(done.KeyID) {
		counts.Already++
		return nil
	}
	sealed, err := r.reseal(ctx, key, done.KeyID)
	if err != nil {
		if ctx.Err() != nil {
			return fmt.Errorf("rotate: %w", ctx.Err())
		}
		done.Failed[kind+key.Name] = err.Error()
		return nil
	}
	if r.DryRun {
		counts.Resealed++
		return nil
	}
	replaced, err := replace(ctx, key, sealed)
	switch {
	case err != nil:
		return err
	case replaced:
		counts.Resealed++
	default:
		counts.Gone++
	}
	return nil
}

// reseal returns the key sealed again, after checking that it opens.
func (r *Rotation) reseal(ctx context.Context, key store.NamedKey, target string) (store.SealedKey, error) {
	plain, err := r.Keeper.open(ctx, key.KeyID, key.Sealed)
	if err != nil {
		return store.SealedKey{}, err
	}
	defer clear(plain)
	if r.DryRun {
		return store.SealedKey{}, nil
	}
	sealed, err := r.Keeper.seal(ctx, target, plain)
	if err != nil {
		return store.SealedKey{}, err
	}
	// A keeper may be allowed to seal and not to open. Finding out here costs a call; finding out later would cost
	// the key.
	again, err := r.Keeper.open(ctx, target, sealed)
	if err != nil {
		return store.SealedKey{}, err
	}
	defer clear(again)
	if !bytes.Equal(plain, again) {
		return store.SealedKey{}, errors.New("the new key does not open what it sealed")
	}
	return store.SealedKey{KeyID: target, Sealed: sealed}, nil
}
