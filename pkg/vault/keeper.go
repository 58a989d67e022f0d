package vault

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/vault/api"
	"gocloud.dev/secrets"
	_ "gocloud.dev/secrets/hashivault"   // SECRETS_URL=hashivault://…
	_ "gocloud.dev/secrets/localsecrets" // SECRETS_URL=base64key://…
)

// Keeper seals and opens keys with the keys of SECRETS_URL, and of SECRETS_URL_NEXT during a rotation. Each key has
// an id that reveals nothing about it; what a key sealed is stored with its id. The keys are fixed when the keeper is
// opened.
type Keeper struct {
	// ID is the first key of SECRETS_URL: it seals until a rotation has chosen another.
	ID string

	ids  []string // in reading order
	keys map[string]*secrets.Keeper
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
func (k *Keeper) IDs() []string { return slices.Clone(k.ids) }

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
	var problems []error
	for _, key := range k.keys {
		if err := key.Close(); err != nil {
			problems = append(problems, fmt.Errorf("close keeper: %w", err))
		}
	}
	return errors.Join(problems...)
}

func (k *Keeper) addURL(ctx context.Context, address, setting string) error {
	path, isFile := KeyFile(address)
	if !isFile {
		return k.add(ctx, address, setting)
	}
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

// rotatesItself reports whether the id is of a key that has versions of its own.
func (k *Keeper) rotatesItself(id string) bool { return k.versioned[id] }

func (k *Keeper) seal(ctx context.Context, id string, plain []byte) ([]byte, error) {
	key := k.keys[id]
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
	key := k.keys[id]
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
		key := k.keys[other]
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

// ErrUnavailable means that the key service did not answer or rejected the request: it says nothing about the key
// that was to be opened.
var ErrUnavailable = errors.New("the key service is not available")

var errNoAnswer = errors.New("the key service gave an answer without data")

const (
	// keeperTimeout is the time limit of one call to the key service.
	keeperTimeout = 5 * time.Second
	closeTimeout  = time.Second
)

// ask calls the key service with a time limit. The Vault client ignores the context: a call that hangs continues
// until its own limit of a minute.
func ask(ctx context.Context, call func(ctx context.Context) ([]byte, error)) ([]byte, error) {
	bounded, cancel := context.WithTimeout(ctx, keeperTimeout)
	defer cancel()
	type answer struct {
		bytes []byte
		err   error
	}
	answered := make(chan answer, 1)
	go func() {
		got := answer{err: errNoAnswer}
		defer func() {
			_ = recover() // the Vault client panics if an answer has no data
			answered <- got
		}()
		got.bytes, got.err = call(bounded)
	}()
	select {
	case got := <-answered:
		return got.bytes, got.err
	case <-bounded.Done():
		return nil, context.Cause(bounded)
	}
}

// marked returns an error of the service as ErrUnavailable, unless the error is about the request itself: a Vault
// answers 400 for data that it did not seal. A key in this process is always available.
func (k *Keeper) marked(ctx context.Context, id string, err error) error {
	if err == nil || ctx.Err() != nil || !k.rotatesItself(id) {
		return err
	}
	if answer, ok := errors.AsType[*api.ResponseError](err); ok && answer.StatusCode == http.StatusBadRequest {
		return err
	}
	return fmt.Errorf("%w: %w", ErrUnavailable, err)
}
