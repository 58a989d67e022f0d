package store

import (
	"context"
	"time"

	"rollcall.dev/pkg/store/internal/db"
)

// States of a delivery to an endpoint.
const (
	DeliveryPending   = "pending"
	DeliveryDelivered = "delivered"
	DeliveryFailed    = "failed" // it was given up, or the endpoint is disabled
)

// Why an endpoint is disabled.
const (
	EndpointGone      = "gone" // it answered 410
	DisabledByRequest = "operator"
)

// Endpoint is an address of a partner's backend that gets events and alerts as webhooks.
type Endpoint struct {
	ID             int64
	Customer       string // "": it gets what concerns any customer
	Topics         []string
	Host           string
	DisabledAt     *time.Time
	DisabledReason string
	DueAt          *time.Time // when something is to be sent; nil: there is nothing
	Failures       int        // since the last success
	FailingSince   *time.Time
	BeforeUntil    *time.Time // until then the secret before the last rotation signs too
	CreatedAt      time.Time
}

// EndpointSecrets are what is needed to send to an endpoint, sealed with the installation's key.
type EndpointSecrets struct {
	URL    []byte
	Secret []byte
	Before []byte // the secret before the last rotation; empty once it does not count any more
}

// NewEndpoint is an endpoint that is to be added.
type NewEndpoint struct {
	Customer string
	Topics   []string
	Host     string
	URL      []byte // sealed
	Secret   []byte // sealed
	Records  bool   // it names events about records
}

// AddEndpoint adds an endpoint. It gets what is consumed from the streams from now on.
func (t *Tx) AddEndpoint(ctx context.Context, added NewEndpoint) (id int64, err error) {
	return t.queries.EndpointInsert(ctx, t.dbtx, &db.EndpointInsertParams{
		Customer: added.Customer, Topics: added.Topics, Host: added.Host, UrlSealed: added.URL, SecretSealed: added.Secret,
		NamesRecords: added.Records,
	})
}

// Endpoint returns an endpoint with its sealed secrets; ErrNotFound if there is none.
func (c Conn) Endpoint(ctx context.Context, id int64) (Endpoint, EndpointSecrets, error) {
	row, err := c.queries.EndpointGet(ctx, c.dbtx, id)
	if err != nil {
		return Endpoint{}, EndpointSecrets{}, err
	}
	return Endpoint{
		ID: row.ID, Customer: row.Customer, Topics: row.Topics, Host: row.Host, DisabledAt: row.DisabledAt, DisabledReason: row.DisabledReason,
		DueAt: row.DueAt, Failures: int(row.Failures), FailingSince: row.FailingSince, BeforeUntil: row.SecretBeforeUntil, CreatedAt: row.CreatedAt,
	}, EndpointSecrets{URL: row.UrlSealed, Secret: row.SecretSealed, Before: row.SecretBeforeSealed}, nil
}

// Endpoints returns up to atMost endpoints whose ids are greater than after, by id.
func (c Conn) Endpoints(ctx context.Context, after int64, atMost int32) ([]Endpoint, error) {
	rows, err := c.queries.EndpointsPage(ctx, c.dbtx, &db.EndpointsPageParams{After: after, AtMost: atMost})
	found := make([]Endpoint, 0, len(rows))
	for _, row := range rows {
		found = append(found, Endpoint{
			ID: row.ID, Customer: row.Customer, Topics: row.Topics, Host: row.Host, DisabledAt: row.DisabledAt, DisabledReason: row.DisabledReason,
			DueAt: row.DueAt, Failures: int(row.Failures), FailingSince: row.FailingSince, BeforeUntil: row.SecretBeforeUntil, CreatedAt: row.CreatedAt,
		})
	}
	return found, err
}

// EndpointChange says what of an endpoint is changed; nil leaves it.
type EndpointChange struct {
	Topics  []string
	Records bool // with Topics: they name events about records
	Host    *string
	URL     []byte // sealed
	Enabled *bool
}

// ChangeEndpoint changes an endpoint, and has what is pending sent when it is due, whatever failed before.
func (t *Tx) ChangeEndpoint(ctx context.Context, id int64, change EndpointChange) error {
	return t.queries.EndpointChange(ctx, t.dbtx, &db.EndpointChangeParams{
		ID: id, Topics: change.Topics, NamesRecords: change.Records, Host: change.Host, UrlSealed: change.URL, Enabled: change.Enabled,
	})
}

// RotateEndpoint gives an endpoint another secret. The one before signs too until keepFor has passed.
func (t *Tx) RotateEndpoint(ctx context.Context, id int64, sealed []byte, keepFor time.Duration) (changed bool, err error) {
	return isChanged(t.queries.EndpointRotate(ctx, t.dbtx, &db.EndpointRotateParams{ID: id, SecretSealed: sealed, KeepFor: keepFor}))
}

// DeleteEndpoint deletes an endpoint and its deliveries.
func (t *Tx) DeleteEndpoint(ctx context.Context, id int64) error {
	_, err := t.queries.EndpointDelete(ctx, t.dbtx, id)
	return err
}

// ForgetEndpoints deletes the endpoints that belong to the customer alone, and their deliveries.
func (t *Tx) ForgetEndpoints(ctx context.Context, customer string) error {
	_, err := t.queries.EndpointsForget(ctx, t.dbtx, customer)
	return err
}

// LockedEndpoint is an endpoint whose row is locked until the transaction ends.
type LockedEndpoint struct {
	ID       int64
	Customer string
	Alerted  bool // its deliveries have raised an alert
	Enabled  bool
}

// LockEndpoint locks an endpoint; ErrNotFound if there is none.
func (t *Tx) LockEndpoint(ctx context.Context, id int64) (LockedEndpoint, error) {
	row, err := t.queries.EndpointLock(ctx, t.dbtx, id)
	if err != nil {
		return LockedEndpoint{}, err
	}
	return LockedEndpoint{ID: row.ID, Customer: row.Customer, Alerted: row.AlertedAt != nil, Enabled: row.DisabledAt == nil}, nil
}

// DisableEndpoint disables an endpoint. What is pending fails.
func (t *Tx) DisableEndpoint(ctx context.Context, id int64, reason string) (changed bool, err error) {
	return isChanged(t.queries.EndpointDisable(ctx, t.dbtx, &db.EndpointDisableParams{ID: id, Reason: reason}))
}

// NoteEndpointAlerted notes whether an alert is also about this endpoint.
func (t *Tx) NoteEndpointAlerted(ctx context.Context, id int64, alerted bool) error {
	return t.queries.EndpointNoteAlerted(ctx, t.dbtx, &db.EndpointNoteAlertedParams{ID: id, Alerted: alerted})
}

// AlertedBeside returns whether the alert is about another endpoint too: of the same customer, or of all customers.
func (t *Tx) AlertedBeside(ctx context.Context, endpoint LockedEndpoint) (bool, error) {
	return t.queries.EndpointsAlertedBeside(ctx, t.dbtx, &db.EndpointsAlertedBesideParams{ID: endpoint.ID, Customer: endpoint.Customer})
}

// LockEndpointRecords has the transaction wait for others that look whether events about records are wanted, or change that.
func (t *Tx) LockEndpointRecords(ctx context.Context) error {
	return t.queries.EndpointRecordsLock(ctx, t.dbtx)
}

// EndpointRecordsWanted returns whether an endpoint names events about records.
func (c Conn) EndpointRecordsWanted(ctx context.Context) (bool, error) {
	return c.queries.EndpointRecordsWanted(ctx, c.dbtx)
}
