package operatorapi

import (
	"encoding/json"
	"time"
)

// Config has a customer's settings, in the names of the onboarding message.
type Config struct {
	CustomerID         string       `json:"customerId"`
	Enabled            bool         `json:"enabled"`
	PausedAt           *time.Time   `json:"pausedAt"`
	OffboardedAt       *time.Time   `json:"offboardedAt"`
	ExternalSystemURL  string       `json:"externalSystemUrl"`
	DestinationKind    string       `json:"destinationKind"`
	BatchSize          *int32       `json:"destinationBatchSize"`      // null: each user is a request of its own
	HasParticipations  bool         `json:"destinationParticipations"` // it has fields for participations
	HasDestinationAuth bool         `json:"hasDestinationToken"`
	PollCadenceMinutes int32        `json:"pollCadenceMinutes"`
	AdminEmail         *string      `json:"adminEmail"` // the customer's own contact, and the only address that is shown
	Limits             ConfigLimits `json:"limits"`
	BackfillNotBefore  *time.Time   `json:"backfillNotBefore"`
	QuietHours         *QuietHours  `json:"quietHours"`
	Participations     bool         `json:"participations"` // they are read
	WriteBack          *WriteBack   `json:"writeBack"`      // null: nothing is written to VOMO
	Virtuous           *Virtuous    `json:"virtuous"`       // null: giving was never set up
}

// Virtuous has a customer's settings for giving, in the names of the onboarding message, and the organization of its key.
type Virtuous struct {
	Enabled               bool            `json:"enabled"`
	DisabledReason        *string         `json:"disabledReason"` // "auth_failed" or "removed"
	OrganizationID        string          `json:"organizationId"`
	OrganizationName      string          `json:"organizationName"`
	TimeZone              string          `json:"timeZone"`
	Culture               string          `json:"culture"`
	TransactionSource     *string         `json:"transactionSource"` // null: the installation's
	DesignationsField     string          `json:"designationsField"`
	Defaults              json.RawMessage `json:"defaults"`
	NeedsReviewAfterHours int             `json:"needsReviewAfterHours"`
	StuckAfterHours       int             `json:"stuckAfterHours"`
	ImportsURL            *string         `json:"importsUrl"`
	GiftsSince            *string         `json:"giftsSince"`
	CreateWebhook         bool            `json:"createWebhook"`
	Resolution            Resolution      `json:"resolution"`
	HasWebhookSecret      bool            `json:"hasWebhookSecret"`
	OAuth                 *VirtuousOAuth  `json:"oauth"` // null: the customer has an API key
}

// VirtuousOAuth says how the tokens of a customer without an API key stand.
type VirtuousOAuth struct {
	AccessTokenExpiresAt time.Time `json:"accessTokenExpiresAt"`
	RefreshedAt          time.Time `json:"refreshedAt"` // when the last pair of tokens was obtained
}

// Resolution says which side is right about a contact's field in which the platform and Virtuous differ.
type Resolution struct {
	Policy string            `json:"policy"` // about fields without an owner
	Owners map[string]string `json:"owners"` // "partner" or "virtuous", by field; empty: no field has one
}

// VirtuousChange changes the settings for giving that are not null. An empty text, or 0, returns a setting to its default. The key is not
// changed here: an onboarding request with a key is tested first.
type VirtuousChange struct {
	TransactionSource     *string         `json:"transactionSource,omitempty"`
	DesignationsField     *string         `json:"designationsField,omitempty"`
	Defaults              json.RawMessage `json:"defaults,omitempty"`
	NeedsReviewAfterHours *int32          `json:"needsReviewAfterHours,omitempty"`
	StuckAfterHours       *int32          `json:"stuckAfterHours,omitempty"`
	ImportsURL            *string         `json:"importsUrl,omitempty"`
	GiftsSince            *string         `json:"giftsSince,omitempty"`
	CreateWebhook         *bool           `json:"createWebhook,omitempty"`
	WebhookSecretSealed   string          `json:"webhookSecretSealed,omitempty"` // to the installation's key

	Resolution *ResolutionChange `json:"resolution,omitempty"`
}

// ResolutionChange changes the policy, unless it is null, and the owners of the fields that it has; those of others stay. An owner that is
// empty leaves its field without one.
type ResolutionChange struct {
	Policy *string           `json:"policy,omitempty"`
	Owners map[string]string `json:"owners,omitempty"`
}

// WriteBack says what the customer's external system may write to VOMO.
type WriteBack struct {
	Fields []string `json:"fields"` // that the external system owns
	Create bool     `json:"create"` // whether users that VOMO does not have are added there
}

// ConfigLimits are the customer's own limits. Null means the installation's limit.
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

// Values of ConfigChange.DestinationChange.
const (
	DestinationMoved     = "moved"      // the same system under another address: its records are kept
	DestinationNewSystem = "new_system" // another system: all users are written again
)

// Names of settings that can be unset, so that the default applies.
const (
	FieldAdminEmail        = "adminEmail"
	FieldRequestsPerSecond = "limits.requestsPerSecond"
	FieldRequestsPerMinute = "limits.requestsPerMinute"
	FieldWriteBack         = "writeBack"
)

// FieldVirtuousOwners begins the name of a change of a field's owner; the field follows.
const FieldVirtuousOwners = "virtuous.resolution.owners."

// Names of the settings whether participations are read, and whether the destination has fields for them.
const (
	FieldParticipations            = "participations"
	FieldDestinationParticipations = "destination.participations"
)

// ConfigChange asks rollcall.api.config.set to change the settings that are not null.
type ConfigChange struct {
	CustomerID             string   `json:"customerId"`
	PollCadenceMinutes     *int32   `json:"pollCadenceMinutes,omitempty"`
	AdminEmail             *string  `json:"adminEmail,omitempty"`
	RequestsPerSecond      *float64 `json:"requestsPerSecond,omitempty"`
	RequestsPerMinute      *float64 `json:"requestsPerMinute,omitempty"`
	Unset                  []string `json:"unset,omitempty"` // of the Field names
	ExternalSystemURL      *string  `json:"externalSystemUrl,omitempty"`
	DestinationChange      string   `json:"destinationChange,omitempty"` // moved or new_system
	Participations         *bool    `json:"participations,omitempty"`
	DestinationTokenSealed string   `json:"destinationTokenSealed,omitempty"` // to the installation's key

	DestinationParticipations *bool `json:"destinationParticipations,omitempty"` // whether the destination has fields for them

	WriteBack *WriteBack      `json:"writeBack,omitempty"` // replaces what was set before
	Virtuous  *VirtuousChange `json:"virtuous,omitempty"`
}

// ConfigChanged lists the changes. Backfill is the run that the change queued or woke, or null.
type ConfigChanged struct {
	CustomerID string    `json:"customerId"`
	Changes    []Change  `json:"changes"`
	Config     Config    `json:"config"`
	Backfill   *Backfill `json:"backfill"`
}

// Change is the change of one setting. A token has neither From nor To.
type Change struct {
	Field string `json:"field"`
	From  any    `json:"from"`
	To    any    `json:"to"`
}
