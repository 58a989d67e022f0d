package vault

import "gocloud.dev/secrets"

// KeeperOf is a keeper with one key of a key service.
func KeeperOf(key *secrets.Keeper) *Keeper {
	return &Keeper{ID: "k", ids: []string{"k"}, keys: map[string]*secrets.Keeper{"k": key}, versioned: map[string]bool{"k": true}}
}

// KeeperTimeout bounds one call of the key service.
const KeeperTimeout = keeperTimeout
