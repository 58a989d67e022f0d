package inbox

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/types/known/timestamppb"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/messageletter"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/vault"
	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

// PurposePart is the purpose for which parts of deliveries are sealed.
const PurposePart = "webhook_part"

// EventUnreadable is the event of a signed body that is no delivery, which only letters have.
const EventUnreadable = "unreadable"

// Codes of letters, and what a letter says of a body that is no delivery.
const (
	codeUnreadable = "webhook_unreadable"
	codeUnapplied  = "webhook_unapplied"

	problemUnreadable = "the delivery is signed, but is not JSON in a form that deliveries have"
)

// Keys are what a customer's parts are sealed and recognised with.
type Keys struct {
	Seal func(plain []byte) ([]byte, error) // for PurposePart
	Hash []byte                             // the customer's hash key
	// Organization is the customer's at Virtuous: its ids mean other records at another one.
	Organization string
}

// OpenKeys opens a customer's keys, for parts of an organization.
func OpenKeys(ctx context.Context, from *vault.Vault, customer, organization string) (Keys, error) {
	seal, err := from.Sealer(ctx, customer, PurposePart)
	if err != nil {
		return Keys{}, fmt.Errorf("open the customer's key: %w", err)
	}
	hash, err := from.HashKey(ctx, customer)
	if err != nil {
		return Keys{}, fmt.Errorf("derive the customer's hash key: %w", err)
	}
	return Keys{Seal: seal, Hash: hash, Organization: organization}, nil
}

// Part is a part of a delivery in the clear.
type Part struct {
	Customer   string
	Event      string // as the inbox has it, such as gift_create
	Records    int
	Body       []byte
	ReceivedAt time.Time
	TraceID    string
}

// Message returns the part as it is published and kept: sealed.
func (p Part) Message(keys Keys) (*rollcallv1.WebhookPart, error) {
	sealed, err := keys.Seal(p.Body)
	if err != nil {
		return nil, fmt.Errorf("seal a part: %w", err)
	}
	return &rollcallv1.WebhookPart{
		CustomerId: p.Customer, Event: p.Event, Records: int32(p.Records), ReceivedAt: timestamppb.New(p.ReceivedAt), //nolint:gosec // bounded by the body
		Sealed: sealed, Digest: digest(keys.Hash, p.Body), TraceId: p.TraceID, OrganizationId: keys.Organization,
	}, nil
}

// digest returns what recognises a part that comes again: an HMAC of its bytes with the customer's hash key.
func digest(key, body []byte) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte("webhook part\x00"))
	mac.Write(body)
	return mac.Sum(nil)
}

// Add stores a part in the inbox; added is false if it is known, or if the customer has no giving, or that of another organization.
func Add(ctx context.Context, to store.Conn, part *rollcallv1.WebhookPart) (added bool, err error) {
	added, err = to.AddInboxPart(ctx, part.GetCustomerId(), store.InboxPart{
		Digest: part.GetDigest(), Event: part.GetEvent(), Records: int(part.GetRecords()), Sealed: part.GetSealed(), TraceID: part.GetTraceId(),
		ReceivedAt: part.GetReceivedAt().AsTime(), Organization: part.GetOrganizationId(),
	})
	if err != nil {
		return false, fmt.Errorf("store a part of a delivery: %w", err)
	}
	return added, nil
}

// letter says why a part became a letter.
type letter struct {
	origin   string // the same origin opens one letter
	code     string
	problem  string // in our own words
	attempts int
}

// UnreadableLetter returns the letter of a signed body that is no delivery. The same body has one letter.
func UnreadableLetter(ctx context.Context, with *vault.Vault, part *rollcallv1.WebhookPart) (store.MessageLetter, error) {
	return newLetter(ctx, with, part, letter{
		origin: originOf(part.GetCustomerId(), hex.EncodeToString(part.GetDigest())), code: codeUnreadable, problem: problemUnreadable, attempts: 1,
	})
}

func originOf(customer, rest string) string { return "webhook/" + customer + "/" + rest }

// newLetter returns a letter whose retry publishes the part.
func newLetter(ctx context.Context, with *vault.Vault, part *rollcallv1.WebhookPart, why letter) (store.MessageLetter, error) {
	payload, err := rollcallv1.Encode(part)
	if err != nil {
		return store.MessageLetter{}, fmt.Errorf("encode a part: %w", err)
	}
	if payload, err = with.Seal(ctx, part.GetCustomerId(), messageletter.PurposePayload, payload); err != nil {
		return store.MessageLetter{}, fmt.Errorf("seal a letter: %w", err)
	}
	return store.MessageLetter{
		ID: uuid.New(), Customer: part.GetCustomerId(), PayloadSealed: payload, Subject: bus.SubjectWebhooks(part.GetCustomerId()),
		Origin: why.origin, Job: "webhooks", ErrorCode: why.code, Reason: why.problem, Attempts: why.attempts,
	}, nil
}
