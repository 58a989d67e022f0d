package virtuous

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"github.com/tidwall/gjson"

	"rollcall.dev/pkg/fault"
)

// Subscription is a webhook subscription. Virtuous has no list of them: an id that is lost cannot be found again.
type Subscription struct {
	ID         int64 // 0 until it is created
	PayloadURL string
	Secret     string
	IsActive   bool
	// Events has the events that are sent, by the names of their switches, such as giftCreate. Virtuous does not send
	// those that are false or not there.
	Events map[string]bool
}

// GivingEvents returns the switches of the events that giving needs.
func GivingEvents() map[string]bool {
	return map[string]bool{"contactCreate": true, "contactUpdate": true, "giftCreate": true, "giftUpdate": true, "giftDelete": true}
}

// String leaves out the secret.
func (s Subscription) String() string { return "webhook subscription " + strconv.FormatInt(s.ID, 10) }

// GoString is String: %#v would print the secret.
func (s Subscription) GoString() string { return s.String() }

// switches are the names of the switches that a subscription has. A PUT sets all of them.
func switches() []string {
	return []string{
		"contactCreate", "contactUpdate", "contactNoteCreate", "contactNoteUpdate", "contactNoteDelete", "giftCreate", "giftUpdate", "giftDelete",
		"projectCreate", "projectUpdate", "projectDelete", "formSubmission", "eventCreate", "eventUpdate", "eventDelete",
	}
}

// CreateSubscription creates a subscription and returns it with its id. It makes one attempt. If that fails without an
// answer (ErrUnavailable, ErrUnknownAnswer), there may be a subscription whose id is not known.
func (c *Client) CreateSubscription(ctx context.Context, s Subscription) (Subscription, error) {
	s.ID = 0
	created, err := c.writeSubscription(ctx, http.MethodPost, []string{"Webhook"}, s)
	if err == nil && created.ID == 0 {
		err = fault.Unknown("virtuous_unknown_answer", &unknownBody{what: "it has no id"})
	}
	if err != nil {
		return Subscription{}, fmt.Errorf("create a webhook subscription: %w", err)
	}
	return created, nil
}

// UpdateSubscription replaces the subscription of s.ID. It makes one attempt; the same update again changes nothing.
func (c *Client) UpdateSubscription(ctx context.Context, s Subscription) error {
	if _, err := c.writeSubscription(ctx, http.MethodPut, subscriptionPath(s.ID), s); err != nil {
		return fmt.Errorf("update a webhook subscription: %w", err)
	}
	return nil
}

// SetSubscriptionActive switches a subscription on or off. Events are not kept while it is off.
func (c *Client) SetSubscriptionActive(ctx context.Context, id int64, isActive bool) error {
	path := append(subscriptionPath(id), "Active")
	query := url.Values{"active": {strconv.FormatBool(isActive)}}
	if _, err := c.exchange(ctx, call{method: http.MethodPut, path: path, query: query}); err != nil {
		return fmt.Errorf("switch a webhook subscription: %w", err)
	}
	return nil
}

// Subscription reads a subscription, with its secret. ErrNotFound means that Virtuous has none with this id.
func (c *Client) Subscription(ctx context.Context, id int64) (Subscription, error) {
	s, r, err := readRecord(ctx, c, subscriptionPath(id), readSubscription)
	if err == nil && s.ID != id {
		err = unknownAnswer(r, "it is another subscription")
	}
	if err != nil {
		return Subscription{}, fmt.Errorf("read a webhook subscription: %w", err)
	}
	return s, nil
}

// DeleteSubscription deletes a subscription. It succeeds if Virtuous has none with this id.
func (c *Client) DeleteSubscription(ctx context.Context, id int64) error {
	r, err := c.do(ctx, call{method: http.MethodDelete, path: subscriptionPath(id)})
	if err == nil && r.status != http.StatusNotFound && r.status != http.StatusGone {
		err = statusFault(r, call{})
	}
	if err != nil {
		return fmt.Errorf("delete a webhook subscription: %w", err)
	}
	return nil
}

func subscriptionPath(id int64) []string { return []string{"Webhook", strconv.FormatInt(id, 10)} }

func (c *Client) writeSubscription(ctx context.Context, method string, path []string, s Subscription) (Subscription, error) {
	fields := map[string]any{"payloadUrl": s.PayloadURL, "secret": s.Secret, "active": s.IsActive}
	for _, name := range switches() {
		fields[name] = false
	}
	for name, isOn := range s.Events { // those of Virtuous that we do not know keep their value
		fields[name] = isOn
	}
	if s.ID != 0 {
		fields["id"] = s.ID
	}
	body, err := json.Marshal(fields)
	if err != nil {
		return Subscription{}, fmt.Errorf("write the subscription: %w", err)
	}
	r, err := c.exchange(ctx, call{method: method, path: path, body: body})
	if err != nil {
		return Subscription{}, err
	}
	value, err := objectOf(r)
	if err != nil && s.ID == 0 {
		return Subscription{}, err
	}
	s.ID = max(s.ID, idAt(value, "id"))
	return s, nil
}

func readSubscription(value gjson.Result) (Subscription, error) {
	id, ok := readID(value.Get("id"))
	if !ok {
		return Subscription{}, ErrNotRecord
	}
	s := Subscription{
		ID: id, PayloadURL: textAt(value, "payloadUrl"), Secret: textAt(value, "secret"), IsActive: boolAt(value, "active"), Events: map[string]bool{},
	}
	value.ForEach(func(name, setting gjson.Result) bool {
		if name.Str != "active" && (setting.Type == gjson.True || setting.Type == gjson.False) {
			s.Events[name.Str] = setting.Type == gjson.True
		}
		return true
	})
	return s, nil
}
