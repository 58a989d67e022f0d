package delivery

import (
	"cmp"
	"slices"

	"rollcall.dev/services/sandbox/internal/gifts"
)

// parcel is one delivery to one subscription.
type parcel struct {
	subscription int64
	envelope     string
	events       []*gifts.Event
	attempts     int
}

func (p *parcel) numbers() []uint64 {
	numbers := make([]uint64, 0, len(p.events))
	for _, event := range p.events {
		numbers = append(numbers, event.Number)
	}
	return numbers
}

// plan returns the deliveries of events, and the numbers of the events that are lost. The seed decides which events are lost,
// doubled and late; a late event moves behind some of those that follow it.
func plan(is gifts.Identity, events []*gifts.Event) (parcels []*parcel, lost []uint64) {
	type position struct {
		event *gifts.Event
		at    float64
	}
	webhooks := is.Settings.Webhooks
	var order []position
	for i, event := range events {
		if event.Draw(is.Seed, "loss") < webhooks.Loss {
			lost = append(lost, event.Number)
			continue
		}
		later := func(word string) float64 {
			return float64(i) + 1.5 + float64(int(event.Draw(is.Seed, word)*float64(webhooks.Distance)))
		}
		at := float64(i)
		if event.Draw(is.Seed, "late") < webhooks.Reordered {
			at = later("late by")
		}
		order = append(order, position{event, at})
		if event.Draw(is.Seed, "double") < webhooks.Duplicates {
			order = append(order, position{event, later("double by")})
		}
	}
	slices.SortStableFunc(order, func(a, b position) int { return cmp.Compare(a.at, b.at) })
	open := make(map[int64]*parcel) // the last one of each subscription
	for _, next := range order {
		for _, subscription := range next.event.Subscriptions {
			envelope := envelopeOf(is, next.event)
			last := open[subscription]
			if last != nil && envelope == bulk && last.envelope == bulk && last.events[0].What == next.event.What && len(last.events) < webhooks.Batch {
				last.events = append(last.events, next.event)
				continue
			}
			made := &parcel{subscription: subscription, envelope: envelope, events: []*gifts.Event{next.event}}
			open[subscription] = made
			parcels = append(parcels, made)
		}
	}
	return parcels, lost
}
