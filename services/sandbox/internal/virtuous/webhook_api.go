package virtuous

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"

	"rollcall.dev/services/sandbox/internal/gifts"
)

// shownSubscription returns a subscription with its toggles beside the other fields, and with its secret, as the real one is
// shown.
func shownSubscription(s *gifts.Subscription) map[string]any {
	shown := map[string]any{"id": s.ID, "payloadUrl": s.PayloadURL, "secret": s.Secret, "active": s.Active}
	for _, toggle := range gifts.Toggles() {
		shown[toggle] = s.Toggles[toggle]
	}
	return shown
}

// readSubscription reads a subscription. It answers the request if it is invalid. What is missing is false.
func (c *call) readSubscription() (gifts.Subscription, bool) {
	var named struct {
		PayloadURL string `json:"payloadUrl"`
		Secret     string `json:"secret"`
		Active     bool   `json:"active"`
	}
	var all map[string]json.RawMessage
	if decode(c.body, &named) != nil || decode(c.body, &all) != nil {
		c.invalid("webhook", "INVALID", "The webhook is not valid.")
		return gifts.Subscription{}, false
	}
	if target, err := url.Parse(named.PayloadURL); err != nil || target.Host == "" || !strings.HasPrefix(target.Scheme, "http") {
		c.invalid("webhook.PayloadUrl", "INVALID", "The PayloadUrl field is not a valid fully-qualified http or https URL.")
		return gifts.Subscription{}, false
	}
	made := gifts.Subscription{PayloadURL: named.PayloadURL, Secret: named.Secret, Active: named.Active, Toggles: map[string]bool{}}
	for _, toggle := range gifts.Toggles() {
		for name, value := range all {
			if strings.EqualFold(name, toggle) {
				made.Toggles[toggle] = string(value) == "true"
			}
		}
	}
	return made, true
}

func (a *API) subscribe(c *call) {
	if made, ok := c.readSubscription(); ok {
		c.json(shownSubscription(c.o.Subscribe(made)))
	}
}

func (a *API) showSubscription(c *call) {
	if found := c.subscription(); found != nil {
		c.json(shownSubscription(found))
	}
}

// replaceSubscription replaces the whole subscription: a toggle that the request leaves out is off.
func (a *API) replaceSubscription(c *call) {
	found := c.subscription()
	if found == nil {
		return
	}
	if made, ok := c.readSubscription(); ok {
		made.ID = found.ID
		c.o.Subscribe(made)
		c.json(shownSubscription(&made))
	}
}

func (a *API) activateSubscription(c *call) {
	if found := c.subscription(); found != nil {
		found.Active = strings.EqualFold(c.r.URL.Query().Get("active"), "true")
		c.o.Subscribe(*found)
		c.json(shownSubscription(found))
	}
}

func (a *API) unsubscribe(c *call) {
	if found := c.subscription(); found != nil {
		c.o.Unsubscribe(found.ID)
		c.w.WriteHeader(http.StatusNoContent)
	}
}

// subscription returns the subscription of the path. It answers the request if there is none.
func (c *call) subscription() *gifts.Subscription {
	found := c.o.Subscription(c.id())
	if found == nil {
		c.notFound("Webhook with id " + c.r.PathValue("id"))
	}
	return found
}
