// Package signedpost makes the requests of webhooks by the Standard Webhooks specification: for the operators' alert webhook, and for partners'
// endpoints.
//
// It owns the headers, the signatures and the secrets' form. It promises that no error of its own quotes a URL or a secret. It sends nothing.
package signedpost

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"rollcall.dev/pkg/service"
)

// Signer signs with one secret.
type Signer = standardwebhooks.Webhook

// secretPrefix begins the secrets of the specification.
const secretPrefix = "whsec_"

// secretBytes is what the specification asks for: 24 to 64.
const secretBytes = 32

// errSecret takes the place of the library's error, which may quote the secret.
var errSecret = errors.New("the webhook's secret cannot be read")

// NewSecret returns a random secret.
func NewSecret() string {
	var secret [secretBytes]byte
	_, _ = rand.Read(secret[:]) // never fails
	return secretPrefix + base64.StdEncoding.EncodeToString(secret[:])
}

// NewSigner returns the signer with a secret.
func NewSigner(secret string) (*Signer, error) {
	signer, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		return nil, errSecret
	}
	return signer, nil
}

// ErrURL means that the URL cannot be used.
var ErrURL = errors.New("the webhook's URL cannot be used")

// Request returns a POST of a body. A repetition has the same id. Each signer adds a signature: the receiver accepts any of them.
func Request(ctx context.Context, target, id string, at time.Time, body []byte, signers ...*Signer) (*http.Request, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, target, bytes.NewReader(body))
	if err != nil {
		return nil, ErrURL
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("User-Agent", "rollcall/"+service.Version)
	request.Header.Set(standardwebhooks.HeaderWebhookID, id)
	// The header is not sent. It lets the transport post again if the receiver had closed the idle connection. The receiver
	// recognises a repetition by the id.
	request.Header["Idempotency-Key"] = nil
	request.Header.Set(standardwebhooks.HeaderWebhookTimestamp, strconv.FormatInt(at.Unix(), 10))
	signatures := make([]string, 0, len(signers))
	for _, signer := range signers {
		signature, err := signer.Sign(id, at, body)
		if err != nil {
			return nil, fmt.Errorf("sign: %w", err)
		}
		signatures = append(signatures, signature)
	}
	if len(signatures) > 0 {
		request.Header.Set(standardwebhooks.HeaderWebhookSignature, strings.Join(signatures, " "))
	}
	return request, nil
}

// Cause returns the reason of a client's error, whose text contains the URL.
func Cause(err error) error {
	if whole, ok := errors.AsType[*url.Error](err); ok {
		return whole.Err
	}
	return err
}
