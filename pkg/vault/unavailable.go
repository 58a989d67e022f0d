package vault

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/hashicorp/vault/api"
)

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
