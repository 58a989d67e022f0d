package delivery

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"rollcall.dev/services/sandbox/internal/gifts"
	"rollcall.dev/services/sandbox/internal/virtuous"
)

// Envelopes of a delivery. The first two were observed, the others are what the vendor's guides guess.
const (
	bulk   = "bulk"   // {"event":"GiftCreate","models":[{"gift":…},…]}
	single = "single" // {"event":"GiftCreate","gift":…}
	guide  = "guide"  // {"eventType":"gift.created",…,"data":…}
	camel  = "camel"  // {"eventType":"giftCreate",…,"data":…}
)

// envelopeOf returns the envelope of an event's delivery.
func envelopeOf(is gifts.Identity, event *gifts.Event) string {
	if is.Settings.Webhooks.Envelope != "mixed" {
		return is.Settings.Webhooks.Envelope
	}
	all := []string{bulk, bulk, single, guide, camel} // the observed bulk form is the most frequent one
	return all[int(event.Draw(is.Seed, "envelope")*float64(len(all)))]
}

// body returns the body of a delivery of events of one kind. Only the bulk envelope has more than one event.
func body(o *gifts.Organisation, is gifts.Identity, envelope string, events []*gifts.Event, now time.Time) ([]byte, error) {
	first := events[0]
	content := map[string]any{}
	switch envelope {
	case bulk:
		models := []any{}
		for _, event := range events {
			models = append(models, beside(is, event)...)
			models = append(models, model(o, is, event, now))
			if oddity(is, event) == "twice" {
				models = append(models, model(o, is, event, now))
			}
		}
		return marshal(struct {
			Event  string `json:"event"`
			Models []any  `json:"models"`
		}{first.What, models})
	case single:
		content = model(o, is, first, now)
		content["event"] = first.What
	default:
		content["eventType"] = eventType(envelope, first.What)
		content["eventId"] = fmt.Sprintf("evt_%d", first.Number)
		content["timestamp"] = first.At.UTC().Format(time.RFC3339)
		content["organizationId"] = is.ID
		content["data"] = data(o, is, first, now)
	}
	return marshal(content)
}

func marshal(content any) ([]byte, error) {
	written, err := json.Marshal(content)
	if err != nil {
		return nil, fmt.Errorf("write delivery: %w", err)
	}
	return written, nil
}

// model is one record of an observed envelope. A deletion has the id beside a gift without its contact, or only the id.
func model(o *gifts.Organisation, is gifts.Identity, event *gifts.Event, now time.Time) map[string]any {
	switch {
	case event.Contact != nil:
		return map[string]any{"contact": bent(is, event, virtuous.ContactRecord(o, event.Contact, virtuous.Webhook, now))}
	case event.What != gifts.GiftDelete:
		return map[string]any{"gift": bent(is, event, virtuous.GiftRecord(o, event.Gift, virtuous.Webhook))}
	case event.Draw(is.Seed, "deletion") < 0.5:
		return map[string]any{"id": event.Gift.ID}
	}
	return map[string]any{"id": event.Gift.ID, "gift": virtuous.Deleted(event.Gift)}
}

// data is the record of the guides' envelope.
func data(o *gifts.Organisation, is gifts.Identity, event *gifts.Event, now time.Time) any {
	switch {
	case event.Contact != nil:
		return bent(is, event, virtuous.ContactRecord(o, event.Contact, virtuous.Single, now))
	case event.What == gifts.GiftDelete:
		return map[string]int64{"id": event.Gift.ID}
	}
	return bent(is, event, virtuous.GiftRecord(o, event.Gift, virtuous.Single))
}

// eventType writes GiftCreate as gift.created or giftCreate.
func eventType(envelope, what string) string {
	if envelope == camel {
		return strings.ToLower(what[:1]) + what[1:]
	}
	for _, entity := range []string{"Gift", "Contact"} {
		if verb, found := strings.CutPrefix(what, entity); found {
			return strings.ToLower(entity) + "." + strings.ToLower(verb) + "d"
		}
	}
	return what
}

// signature returns the signature of a body: HMAC-SHA256, as base64 or hex text.
func signature(is gifts.Identity, secret string, body []byte) string {
	mac := hmac.New(sha256.New, []byte(secret))
	_, _ = mac.Write(body) // a hash never fails
	sum := mac.Sum(nil)
	encoding := is.Settings.Webhooks.Encoding
	if encoding == "mixed" {
		encoding = "base64"
		if sum[0]%2 == 1 {
			encoding = "hex"
		}
	}
	// A bad signature is one over other bytes, in the right form.
	if gifts.Drawn(is.Seed, "signature", hex.EncodeToString(sum)) < is.Settings.Webhooks.BadSignatures {
		sum[0]++
	}
	if encoding == "hex" {
		return hex.EncodeToString(sum)
	}
	return base64.StdEncoding.EncodeToString(sum)
}
