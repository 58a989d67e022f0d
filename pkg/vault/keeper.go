package vault

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"gocloud.dev/secrets"
	_ "gocloud.dev/secrets/hashivault"   // SECRETS_URL=hashivault://…
	_ "gocloud.dev/secrets/localsecrets" // SECRETS_URL=base64key://…
)

const (
	devScheme      = "dev"
	devDefaultPath = ".rollcall/secrets.key"
	keyBytes       = 32
)

// Keeper seals and opens keys. ID tells which key it is, for rotation; it gives nothing of the key away.
type Keeper struct {
	ID     string
	keeper *secrets.Keeper
}

// OpenKeeper opens the keeper of a SECRETS_URL: a gocloud.dev/secrets URL, or `dev`, or `dev:<path>`, which
// make a local key file on first use. Errors do not repeat the URL: base64key:// holds the key itself.
func OpenKeeper(ctx context.Context, secretsURL string) (*Keeper, error) {
	address := secretsURL
	if path, ok := devPath(secretsURL); ok {
		key, err := devKey(path)
		if err != nil {
			return nil, err
		}
		address = "base64key://" + base64.URLEncoding.EncodeToString(key)
	}
	keeper, err := secrets.OpenKeeper(ctx, address)
	if err != nil {
		return nil, errors.New("SECRETS_URL cannot be opened: expected base64key://<32 bytes, URL-safe base64>, hashivault://<key name> or dev")
	}
	sum := sha256.Sum256([]byte("rollcall keeper " + address))
	return &Keeper{ID: hex.EncodeToString(sum[:6]), keeper: keeper}, nil
}

// Close lets go of the keeper's connections.
func (k *Keeper) Close() error {
	if err := k.keeper.Close(); err != nil {
		return fmt.Errorf("close keeper: %w", err)
	}
	return nil
}

func (k *Keeper) seal(ctx context.Context, key []byte) ([]byte, error) {
	sealed, err := k.keeper.Encrypt(ctx, key)
	if err != nil {
		return nil, fmt.Errorf("seal key: %w", err)
	}
	return sealed, nil
}

func (k *Keeper) open(ctx context.Context, sealed []byte) ([]byte, error) {
	key, err := k.keeper.Decrypt(ctx, sealed)
	if err != nil {
		return nil, fmt.Errorf("open key (is SECRETS_URL the one that sealed it?): %w", err)
	}
	return key, nil
}

func devPath(secretsURL string) (string, bool) {
	if secretsURL == devScheme {
		return devDefaultPath, true
	}
	return strings.CutPrefix(secretsURL, devScheme+":")
}

// devKey reads the key file, or makes it. Many processes start at once: the file is written aside and linked
// into place, so that whoever comes second reads what the first one made.
func devKey(path string) ([]byte, error) {
	for range 2 {
		text, err := os.ReadFile(path) //nolint:gosec // the operator names the file
		if err == nil {
			key, err := base64.StdEncoding.DecodeString(strings.TrimSpace(string(text)))
			if err != nil || len(key) != keyBytes {
				return nil, fmt.Errorf("key file %s is not %d bytes in base64", path, keyBytes)
			}
			return key, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("read key file: %w", err)
		}
		if err := makeKeyFile(path); err != nil {
			return nil, err
		}
	}
	return nil, fmt.Errorf("key file %s was made and is gone again", path)
}

func makeKeyFile(path string) (err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("make folder of key file: %w", err)
	}
	key := make([]byte, keyBytes)
	if _, err := rand.Read(key); err != nil {
		return fmt.Errorf("draw key: %w", err)
	}
	aside, err := os.CreateTemp(filepath.Dir(path), ".secrets-*")
	if err != nil {
		return fmt.Errorf("make key file: %w", err)
	}
	defer func() { err = errors.Join(err, os.Remove(aside.Name())) }()
	_, err = aside.WriteString(base64.StdEncoding.EncodeToString(key) + "\n")
	if err := errors.Join(err, aside.Sync(), aside.Close()); err != nil {
		return fmt.Errorf("write key file: %w", err)
	}
	if err := os.Link(aside.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("place key file: %w", err)
	}
	return nil
}
