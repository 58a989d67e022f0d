package endpoints

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"go.uber.org/zap"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/event"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/worker"
	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

// retryFor is how long a delivery is tried.
const retryFor = 3 * 24 * time.Hour

// Consumer turns messages of the streams into deliveries. A message is acknowledged after its deliveries are committed.
type Consumer struct {
	Store     *store.Store
	Logger    *zap.Logger
	MessageID func(delivery *worker.Delivery) string // the same for every delivery of a message
	Added     func()                                 // something is to be sent

	reached func(place string) error // in tests: where the process dies
}

// Handle adds the deliveries of an event or alert. One that cannot be read is passed over: nothing of it may be sent.
func (c *Consumer) Handle(ctx context.Context, delivery *worker.Delivery) error {
	found, err := eventOf(delivery, c.MessageID(delivery))
	if err != nil {
		c.Logger.Warn("message passed over: it is no event or alert", zap.String("subject", delivery.Subject), zap.Uint64("sequence", delivery.Sequence),
			zap.Error(err))
		return nil
	}
	if len(found.Matches) == 0 {
		return nil
	}
	added, err := c.Store.AddDeliveries(ctx, found)
	if err != nil {
		return err
	}
	if added > 0 && c.Added != nil {
		c.Added()
	}
	return at(c.reached, "added")
}

func at(reached func(place string) error, place string) error {
	if reached == nil {
		return nil
	}
	return reached(place)
}

// body is what Standard Webhooks requires.
type body struct {
	Type      string    `json:"type"`
	Timestamp time.Time `json:"timestamp"`
	Data      any       `json:"data"`
}

func (b body) encode() ([]byte, error) {
	encoded, err := json.Marshal(b)
	if err != nil {
		return nil, fmt.Errorf("encode body: %w", err)
	}
	return encoded, nil
}

// eventOf returns what endpoints get of a message. The same message gives the same bytes.
func eventOf(delivery *worker.Delivery, id string) (store.EndpointEvent, error) {
	found := store.EndpointEvent{ID: id, Customer: bus.CustomerOf(delivery.Subject), RetryFor: retryFor}
	read := readAlert
	if found.Topic = bus.EventOf(delivery.Subject); found.Topic != "" {
		found.Matches = event.TopicsOfEvent(found.Topic)
		read = readEvent
	}
	said, err := read(delivery, &found)
	if err != nil {
		return store.EndpointEvent{}, err
	}
	found.Body, err = said.encode()
	return found, err
}

var (
	errNotAnObject     = errors.New("its payload is no JSON object")
	errOtherCustomer   = errors.New("it does not name its type and the customer of its subject")
	errInvalidCustomer = errors.New("its subject names no customer")
)

// personal are the fields of events that may have a person's data, if EVENTS_INCLUDE_USER is on.
func personal() []string { return []string{"user"} }

func readEvent(delivery *worker.Delivery, found *store.EndpointEvent) (body, error) {
	if found.Customer != rollcallv1.UnknownCustomer && !rollcallv1.ValidCustomerID(found.Customer) {
		return body{}, errInvalidCustomer
	}
	data := map[string]json.RawMessage{}
	if json.Unmarshal(delivery.Data, &data) != nil || data == nil {
		return body{}, errNotAnObject // the decoder's error may quote the payload
	}
	for _, name := range personal() {
		delete(data, name)
	}
	data["customerId"] = json.RawMessage(strconv.Quote(found.Customer))
	return body{Type: found.Topic, Timestamp: timeOf(delivery), Data: data}, nil
}

// timeOf returns when an event happened: at the latest when it was published.
func timeOf(delivery *worker.Delivery) time.Time {
	if said := delivery.Header["ce-time"]; len(said) > 0 {
		if at, err := time.Parse(time.RFC3339Nano, said[0]); err == nil {
			return at.UTC()
		}
	}
	return delivery.Published.UTC()
}

func readAlert(delivery *worker.Delivery, found *store.EndpointEvent) (body, error) {
	alert := &rollcallv1.Alert{}
	if err := rollcallv1.Read(delivery.Data, alert); err != nil {
		return body{}, errNotAnObject
	}
	if alert.GetCustomerId() != found.Customer || alert.GetType() == "" {
		return body{}, errOtherCustomer
	}
	found.Topic = alert.GetType()
	found.Matches = event.TopicsOfAlert(alert.GetType(), found.Customer)
	data := alertData{
		CustomerID: found.Customer, Type: alert.GetType(), Severity: alert.GetSeverity(), Cleared: alert.GetCleared(), Text: alert.GetText(),
		Remedy: alert.GetRemedy(), VomoUserID: alert.GetVomoUserId(),
	}
	happened := delivery.Published.UTC()
	if alert.GetAt() != nil {
		happened = alert.GetAt().AsTime()
	}
	if alert.GetRaisedAt() != nil {
		raised := alert.GetRaisedAt().AsTime()
		data.RaisedAt = &raised
	}
	return body{Type: found.Topic, Timestamp: happened, Data: data}, nil
}

// alertData is an alert as endpoints get it. Cleared is always present: a receiver need not know what an absent one means.
type alertData struct {
	CustomerID string     `json:"customerId"`
	Type       string     `json:"type"`
	Severity   string     `json:"severity"`
	Cleared    bool       `json:"cleared"`
	Text       string     `json:"text"`
	Remedy     string     `json:"remedy,omitempty"`
	VomoUserID string     `json:"vomoUserId,omitempty"`
	RaisedAt   *time.Time `json:"raisedAt,omitempty"`
}
