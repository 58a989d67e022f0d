package operatorapi

import "time"

// Webhook is a webhook subscription at Virtuous. Its secret is not shown.
type Webhook struct {
	ID            int64      `json:"id"`
	State         string     `json:"state"`     // requested, active, removing, removed, orphaned
	WebhookID     *int64     `json:"webhookId"` // Virtuous' id; null: not known
	PayloadURL    string     `json:"payloadUrl"`
	Events        []string   `json:"events"`
	RequestedAt   time.Time  `json:"requestedAt"`
	CreatedAt     *time.Time `json:"createdAt"`
	VerifiedAt    *time.Time `json:"verifiedAt"`
	Differences   []string   `json:"differences"` // of the last verification
	LastError     *string    `json:"lastError"`
	EndedAt       *time.Time `json:"endedAt"`
	RotatingSince *time.Time `json:"rotatingSince"` // a rotation whose end is not known
}

// WebhookQuestion asks rollcall.api.webhooks.* about a customer.
type WebhookQuestion struct {
	CustomerID string `json:"customerId"`
}

// WebhooksReply answers webhooks.ls and rm.
type WebhooksReply struct {
	Webhooks []Webhook `json:"webhooks"`
}

// WebhookVerified answers webhooks.verify.
type WebhookVerified struct {
	Webhook     *Webhook  `json:"webhook"`     // null: there is none
	Differences []string  `json:"differences"` // what is not at Virtuous as it should be
	Orphans     []Webhook `json:"orphans"`     // that Virtuous may still have
}

// WebhookReplay asks rollcall.api.webhooks.replay to apply a batch of parts of deliveries again, from After on.
type WebhookReplay struct {
	CustomerID string      `json:"customerId"`
	From       time.Time   `json:"from"`
	To         time.Time   `json:"to"` // exclusive
	After      *WebhookPos `json:"after,omitempty"`
}

// WebhookPos is the last part of a batch.
type WebhookPos struct {
	ReceivedAt time.Time `json:"receivedAt"`
	ID         int64     `json:"id"`
}

// WebhookReplayed counts what is applied again; Next is null if there is no more.
type WebhookReplayed struct {
	Parts   int64       `json:"parts"`
	Records int64       `json:"records"`
	Next    *WebhookPos `json:"next"`
}
