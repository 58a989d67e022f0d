package vault

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"gocloud.dev/secrets"
	_ "gocloud.dev/secrets/hashivault"   // SECRETS_URL=hashivault://…
	_ "gocloud.dev/secrets/localsecrets" // SECRETS_URL=base64key://…
)

// Keeper seals and opens keys with the keys of SECRETS_URL, and of SECRETS_URL_NEXT during a rotation. Each key has
// an id that reveals nothing about it; what a key sealed is stored with its id.
type Keeper struct {
	// ID is the first key of SECRETS_URL: it seals until a rotation has chosen another.
	ID string

	files []string // key files, read again when an unknown key is needed
	other bool     // whether there are keys besides those of the files
	mu    sync.RWMutex
	ids   []string // in reading order
	keys  map[string]*secrets.Keeper
	// A key in a Vault has several versions under one id, so resealing under the same id is useful.
	versioned map[string]bool
}

// ErrNoSuchKey means that this process does not have a key that is now used for sealing.
var ErrNoSuchKey = errors.New("this process does not have the key that seals by now: give it the SECRETS_URL and SECRETS_URL_NEXT of the others")

// OpenKeeper opens the keeper of a SECRETS_URL: a gocloud.dev/secrets URL, or `dev`, or `dev:<path>`, which create a
// local key file on first use. nextURLs are further URLs, whose keys open what they sealed; empty ones are ignored.
// Errors do not contain a URL: base64key:// holds the key itself.
func OpenKeeper(ctx context.Context, secretsURL string, nextURLs ...string) (*Keeper, error) {
	keeper := &Keeper{keys: map[string]*secrets.Keeper{}, versioned: map[string]bool{}}
	if err := keeper.addURL(ctx, secretsURL, "SECRETS_URL"); err != nil {
		return nil, errors.Join(err, keeper.Close())
	}
	keeper.ID = keeper.ids[0]
	for _, next := range nextURLs {
		if next == "" {
			continue
		}
		if err := keeper.addURL(ctx, next, "SECRETS_URL_NEXT"); err != nil {
			return nil, errors.Join(err, keeper.Close())
		}
	}
	return keeper, nil
}

// IDs returns the keys that this keeper has, SECRETS_URL's first.
func (k *Keeper) IDs() []string {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return slices.Clone(k.ids)
}

// Close closes the keeper's connections. A key is closed when its last call has ended; Close does not wait for a call
// that hangs.
func (k *Keeper) Close() error {
	closed := make(chan error, 1)
	go func() { closed <- k.close() }()
	limit := time.NewTimer(closeTimeout)
	defer limit.Stop()
	select {
	case err := <-closed:
		return err
	case <-limit.C:
		return nil
	}
}

func (k *Keeper) close() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	var problems []error
	for _, key := range k.keys {
		if err := key.Close(); err != nil {
			problems = append(problems, fmt.Errorf("close keeper: %w", err))
		}
	}
	return errors.Join(problems...)
}

func (k *Keeper) addURL(ctx context.Context, address, setting string) error {
	path, ok := devPath(address)
	if !ok {
		k.other = true
		return k.add(ctx, address, setting)
	}
	k.files = append(k.files, path)
	return k.readFile(ctx, path)
}

func (k *Keeper) readFile(ctx context.Context, path string) error {
	keys, err := fileKeys(path)
	if err != nil {
		return err
	}
	for _, key := range keys {
		if err := k.add(ctx, "base64key://"+base64.URLEncoding.EncodeToString(key), "the key file"); err != nil {
			return err
		}
	}
	return nil
}

func (k *Keeper) add(ctx context.Context, address, setting string) error {
	sum := sha256.Sum256([]byte("rollcall keeper " + address))
	id := hex.EncodeToString(sum[:6])
	k.mu.Lock()
	defer k.mu.Unlock()
	if _, known := k.keys[id]; known {
		return nil
	}
	key, err := secrets.OpenKeeper(ctx, address)
	if err != nil {
		return fmt.Errorf("%s cannot be opened: expected base64key://<32 bytes, URL-safe base64>, hashivault://<key name> or dev", setting)
	}
	k.ids = append(k.ids, id)
	k.keys[id] = key
	k.versioned[id] = !strings.HasPrefix(address, "base64key:")
	return nil
}

// key returns the key with this id. If it is unknown, key reads the key files again: a rotation may have added it.
func (k *Keeper) key(ctx context.Context, id string) (*secrets.Keeper, error) {
	if found := k.known(id); found != nil {
		return found, nil
	}
	if err := k.reread(ctx); err != nil {
		return nil, err
	}
	return k.known(id), nil
}

// reread loads the keys that were added to the key files.
func (k *Keeper) reread(ctx context.Context) error {
	for _, path := range k.files {
		if err := k.readFile(ctx, path); err != nil {
			return err
		}
	}
	return nil
}

// rotatesItself reports whether the id is of a key that has versions of its own.
func (k *Keeper) rotatesItself(id string) bool {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return k.versioned[id]
}

func (k *Keeper) known(id string) *secrets.Keeper {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return k.keys[id]
}

func (k *Keeper) seal(ctx context.Context, id string, plain []byte) ([]byte, error) {
	key, err := k.key(ctx, id)
	if err != nil {
		return nil, err
	}
	if key == nil {
		return nil, fmt.Errorf("seal key with %s: %w", id, ErrNoSuchKey)
	}
	sealed, err := ask(ctx, func(ctx context.Context) ([]byte, error) { return key.Encrypt(ctx, plain) })
	if err != nil {
		return nil, fmt.Errorf("seal key: %w", k.marked(ctx, id, err))
	}
	return sealed, nil
}

func (k *Keeper) open(ctx context.Context, id string, sealed []byte) ([]byte, error) {
	key, err := k.key(ctx, id)
	if err != nil {
		return nil, err
	}
	if key == nil {
		return k.openWithAny(ctx, id, sealed)
	}
	plain, err := ask(ctx, func(ctx context.Context) ([]byte, error) { return key.Decrypt(ctx, sealed) })
	if err != nil {
		return nil, fmt.Errorf("open key (is SECRETS_URL the one that sealed it?): %w", k.marked(ctx, id, err))
	}
	return plain, nil
}

// openWithAny tries every key: one key of a Vault has two ids if its URL is written in two ways.
func (k *Keeper) openWithAny(ctx context.Context, id string, sealed []byte) ([]byte, error) {
	var away error
	for _, other := range k.IDs() {
		key := k.known(other)
		plain, err := ask(ctx, func(ctx context.Context) ([]byte, error) { return key.Decrypt(ctx, sealed) })
		if err == nil {
			return plain, nil
		}
		if err = k.marked(ctx, other, err); errors.Is(err, ErrUnavailable) {
			away = err
		}
	}
	if away != nil {
		return nil, fmt.Errorf("open key sealed by %s: %w", id, away)
	}
	return nil, fmt.Errorf("open key sealed by %s: neither SECRETS_URL nor SECRETS_URL_NEXT opens it", id)
}
