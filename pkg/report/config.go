package report

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"rollcall.dev/pkg/store"
)

// Config is what was asked for at onboarding and changed since, in the names of the onboarding message.
type Config struct {
	CustomerID         string       `json:"customerId"`
	Enabled            bool         `json:"enabled"`
	PausedAt           *time.Time   `json:"pausedAt"`
	OffboardedAt       *time.Time   `json:"offboardedAt"`
	ExternalSystemURL  string       `json:"externalSystemUrl"`
	DestinationKind    string       `json:"destinationKind"`
	BatchSize          *int32       `json:"destinationBatchSize"` // null: each user is a request of its own
	HasDestinationAuth bool         `json:"hasDestinationToken"`
	PollCadenceMinutes int32        `json:"pollCadenceMinutes"`
	AdminEmail         *string      `json:"adminEmail"` // the customer's own contact, and the only address that is shown
	Limits             ConfigLimits `json:"limits"`
	BackfillNotBefore  *time.Time   `json:"backfillNotBefore"`
	QuietHours         *QuietHours  `json:"quietHours"`
}

// ConfigLimits differ from the installation's where they are not null.
type ConfigLimits struct {
	RequestsPerSecond *float64 `json:"requestsPerSecond"`
	RequestsPerMinute *float64 `json:"requestsPerMinute"` // 0: no limit a minute
}

// QuietHours are hours in which no backfill reads from VOMO.
type QuietHours struct {
	From     string   `json:"from"`
	To       string   `json:"to"`
	Zone     string   `json:"zone"`
	Weekdays []string `json:"weekdays,omitempty"` // on which they begin; none: every day
}

// ConfigQuestion asks for a customer's settings.
type ConfigQuestion struct {
	CustomerID string `json:"customerId"`
}

// ConfigOf answers rollcall.api.config.get; store.ErrNotFound for a customer that was not onboarded.
func ConfigOf(ctx context.Context, from store.Conn, customerID string) (Config, error) {
	customer, err := from.Customer(ctx, customerID)
	if err != nil {
		return Config{}, err
	}
	names, err := from.CredentialNames(ctx, customerID)
	if err != nil {
		return Config{}, err
	}
	var stored struct {
		Kind      string `json:"kind"`
		BatchSize *int32 `json:"batchSize"`
	}
	if err := json.Unmarshal(customer.Destination, &stored); err != nil {
		return Config{}, fmt.Errorf("decode destination: %w", err)
	}
	var quiet *QuietHours
	if len(customer.QuietHours) > 0 {
		if err := json.Unmarshal(customer.QuietHours, &quiet); err != nil {
			return Config{}, fmt.Errorf("decode quiet hours: %w", err)
		}
	}
	return Config{
		CustomerID: customer.ID, Enabled: customer.Enabled, PausedAt: customer.PausedAt, OffboardedAt: customer.OffboardedAt,
		ExternalSystemURL: customer.ExternalSystemURL, DestinationKind: stored.Kind, BatchSize: stored.BatchSize,
		HasDestinationAuth: names[store.CredentialDestinationToken], PollCadenceMinutes: customer.PollCadenceMinutes,
		AdminEmail:        customer.AdminEmail,
		Limits:            ConfigLimits{RequestsPerSecond: customer.RequestsPerSecond, RequestsPerMinute: customer.RequestsPerMinute},
		BackfillNotBefore: customer.BackfillNotBefore, QuietHours: quiet,
	}, nil
}

// What a changed destination is.
const (
	DestinationMoved     = "moved"      // the same system under another address: what stands there stands
	DestinationNewSystem = "new_system" // another system: everybody is written again
)

// Names of settings that can be put back to what holds without them.
const (
	FieldAdminEmail        = "adminEmail"
	FieldRequestsPerSecond = "limits.requestsPerSecond"
	FieldRequestsPerMinute = "limits.requestsPerMinute"
)

// ConfigChange asks rollcall.api.config.set to change what is not null, and nothing else.
type ConfigChange struct {
	CustomerID             string   `json:"customerId"`
	PollCadenceMinutes     *int32   `json:"pollCadenceMinutes,omitempty"`
	AdminEmail             *string  `json:"adminEmail,omitempty"`
	RequestsPerSecond      *float64 `json:"requestsPerSecond,omitempty"`
	RequestsPerMinute      *float64 `json:"requestsPerMinute,omitempty"`
	Unset                  []string `json:"unset,omitempty"` // of the Field names
	ExternalSystemURL      *string  `json:"externalSystemUrl,omitempty"`
	DestinationChange      string   `json:"destinationChange,omitempty"`      // moved or new_system
	DestinationTokenSealed string   `json:"destinationTokenSealed,omitempty"` // to the installation's key
}

// ConfigChanged is what was changed. Backfill is the run that was queued or woken by it, null where none was.
type ConfigChanged struct {
	CustomerID string    `json:"customerId"`
	Changes    []Change  `json:"changes"`
	Config     Config    `json:"config"`
	Backfill   *Backfill `json:"backfill"`
}

// Change is one setting's. A token has neither From nor To.
type Change struct {
	Field string `json:"field"`
	From  any    `json:"from"`
	To    any    `json:"to"`
}
