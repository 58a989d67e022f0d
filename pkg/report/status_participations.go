package report

import (
	"context"
	"math"
	"time"

	"rollcall.dev/pkg/store"
)

// Participations say how far the participations of the customer's users are known.
type Participations struct {
	Enabled    bool     `json:"enabled"`
	Covered    int64    `json:"covered"`    // users whose participations were read at least once
	Total      int64    `json:"total"`      // users at the destination
	CycleHours *float64 `json:"cycleHours"` // how long the last complete cycle through all users took; null: there was none yet
}

// addParticipations comes after addInventory, which counts the users.
func addParticipations(ctx context.Context, from *store.Store, status *Status, facts *healthFacts) error {
	status.Participations.Enabled = facts.customer.Participations
	status.Participations.Total = status.Inventory.TotalUsersMirrored
	if seconds := facts.customer.ParticipationsCycle; seconds != nil {
		hours := math.Round(*seconds/time.Hour.Seconds()*1000) / 1000 //nolint:mnd // three decimals: a small customer's cycle takes seconds
		status.Participations.CycleHours = &hours
	}
	var err error
	status.Participations.Covered, err = from.CountParticipations(ctx, status.CustomerID)
	return err
}
