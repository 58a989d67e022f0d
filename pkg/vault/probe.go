package vault

import (
	"context"

	"rollcall.dev/pkg/store"
)

// Probed is the result of checking the stored keys.
type Probed struct {
	Opened int               // keys that opened
	Failed map[string]string // by owner: why its key did not open
	Stale  int64             // keys sealed by a key that no longer seals: a rotation is not complete
	Unable bool              // the keeper does not have the key that seals new data
}

// Probe opens the installation's own keys and up to sample customers' keys. It changes nothing.
func Probe(ctx context.Context, keeper *Keeper, from *store.Store, sample int32) (Probed, error) {
	probed := Probed{Failed: map[string]string{}}
	own, err := from.InstallationKeys(ctx)
	if err != nil {
		return probed, err
	}
	customers, err := from.CustomerKeys(ctx, "", sample)
	if err != nil {
		return probed, err
	}
	for i, key := range append(own, customers...) {
		plain, err := keeper.open(ctx, key.KeyID, key.Sealed)
		clear(plain)
		switch {
		case err == nil:
			probed.Opened++
		case i < len(own):
			probed.Failed["the installation's key "+key.Name] = err.Error()
		default:
			probed.Failed["the key of customer "+key.Name] = err.Error()
		}
	}
	sealing, err := from.SealingKey(ctx)
	if err != nil || sealing == "" {
		return probed, err
	}
	probed.Unable = keeper.keys[sealing] == nil
	counts, err := from.KeysBySealer(ctx)
	for id, count := range counts {
		if id != sealing {
			probed.Stale += count
		}
	}
	return probed, err
}
