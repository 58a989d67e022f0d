package vault

import "gocloud.dev/secrets"

// KeeperOf returns a keeper with one key of a key service.
func KeeperOf(key *secrets.Keeper) *Keeper {
	return &Keeper{ID: "k", ids: []string{"k"}, keys: map[string]*secrets.Keeper{"k": key}, versioned: map[string]bool{"k": true}}
}

// KeeperTimeout is the time limit of one call to the key service.
const KeeperTimeout = keeperTimeout
