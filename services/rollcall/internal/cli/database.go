package cli

import (
	"context"
	"errors"
	"fmt"

	"rollcall.dev/pkg/config"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/vault"
)

var errNoDatabase = errors.New("DATABASE_URL is missing: postgres://user:password@host:port/database")

// openStore is for the commands that reach Postgres themselves. The store must be closed.
func openStore(ctx context.Context, settings config.Config) (*store.Store, error) {
	if settings.DatabaseURL == "" {
		return nil, errNoDatabase
	}
	return store.Open(ctx, settings.DatabaseURL, store.Options{MaxConns: 2})
}

// openKeeper opens the keeper of the services. Where its key file is missing, this is not the machine, the folder or
// the setting of the services, and a file made now would only look like theirs.
func openKeeper(ctx context.Context, settings config.Config) (*vault.Keeper, error) {
	for _, address := range []string{settings.SecretsURL, settings.SecretsURLNext} {
		if path := vault.MissingKeyFile(address); path != "" {
			return nil, fmt.Errorf("key file %s does not exist: set SECRETS_URL as the services have it, and run this where they run", path)
		}
	}
	return vault.OpenKeeper(ctx, settings.SecretsURL, settings.SecretsURLNext)
}
