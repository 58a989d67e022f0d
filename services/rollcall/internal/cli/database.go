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

// openStore is for commands that connect to Postgres themselves. The caller closes the store.
func openStore(ctx context.Context, settings config.Config) (*store.Store, error) {
	if settings.DatabaseURL == "" {
		return nil, errNoDatabase
	}
	return store.Open(ctx, settings.DatabaseURL, store.Options{MaxConns: 2})
}

// openKeeper opens the services' keeper. It never creates a key file: if the file is missing, this command runs on another
// machine, in another folder or with other settings than the services.
func openKeeper(ctx context.Context, settings config.Config) (*vault.Keeper, error) {
	for _, address := range []string{settings.SecretsURL, settings.SecretsURLNext} {
		if path := vault.MissingKeyFile(address); path != "" {
			return nil, fmt.Errorf("key file %s does not exist: set SECRETS_URL as the services have it, and run this where they run", path)
		}
	}
	return vault.OpenKeeper(ctx, settings.SecretsURL, settings.SecretsURLNext)
}
