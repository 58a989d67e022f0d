package operatorapi

import "time"

// States of an endpoint.
const (
	EndpointEnabled  = "enabled"
	EndpointFailing  = "failing" // the last attempt failed; it is retried automatically
	EndpointDisabled = "disabled"
)

// Endpoint is an address of a partner's backend that gets webhooks. Of its URL only the host is shown, and its secret is not.
type Endpoint struct {
	ID                  int64      `json:"id"`
	CustomerID          *string    `json:"customerId"` // null: it gets what concerns any customer
	Topics              []string   `json:"topics"`
	Host                string     `json:"host"`
	State               string     `json:"state"`
	DisabledAt          *time.Time `json:"disabledAt"`
	DisabledReason      *string    `json:"disabledReason"` // "gone": it answered 410; "operator"
	FailingSince        *time.Time `json:"failingSince"`
	FailedAttempts      int        `json:"failedAttempts"`      // since the last success
	NextAttemptAt       *time.Time `json:"nextAttemptAt"`       // null: nothing is to be sent
	PreviousSecretUntil *time.Time `json:"previousSecretUntil"` // until then the secret before the last rotation signs too
	CreatedAt           time.Time  `json:"createdAt"`
}

// EndpointAdd asks rollcall.api.endpoints.add for a new endpoint.
type EndpointAdd struct {
	CustomerID string   `json:"customerId,omitempty"` // absent: it gets what concerns any customer
	URL        string   `json:"url"`
	Topics     []string `json:"topics,omitempty"` // absent: "*"
}

// EndpointSecret answers endpoints.add and rotate. The secret is not shown again.
type EndpointSecret struct {
	Endpoint Endpoint `json:"endpoint"`
	Secret   string   `json:"secret"`
}

// EndpointQuestion asks rollcall.api.endpoints.* about one endpoint.
type EndpointQuestion struct {
	ID int64 `json:"id"`
}

// EndpointChange asks endpoints.set to change an endpoint; what is absent stays.
type EndpointChange struct {
	ID      int64    `json:"id"`
	URL     string   `json:"url,omitempty"`
	Topics  []string `json:"topics,omitempty"`
	Enabled *bool    `json:"enabled,omitempty"`
}

// EndpointRotation asks endpoints.rotate for another secret. The one before signs too for KeepSeconds, a day by default.
type EndpointRotation struct {
	ID          int64  `json:"id"`
	KeepSeconds *int64 `json:"keepSeconds,omitempty"`
}

// EndpointsQuestion asks for endpoints, by id.
type EndpointsQuestion struct {
	After int64 `json:"after,omitempty"` // ids above this one: the Next of the page before
	Limit int32 `json:"limit,omitempty"` // at most 200, default 50
}

// EndpointsReply is one page; Next is null on the last.
type EndpointsReply struct {
	Endpoints []Endpoint `json:"endpoints"`
	Next      *int64     `json:"next"`
}

// EndpointTested answers endpoints.test.
type EndpointTested struct {
	Outcome string `json:"outcome"` // "sent", "failed"
	Status  *int   `json:"status"`  // of the answer; null: there was none
	Code    string `json:"code"`    // why it failed
	Answer  string `json:"answer"`  // its beginning
}

// EndpointDelivery is a webhook to an endpoint: sent, or to be sent.
type EndpointDelivery struct {
	ID            string     `json:"id"` // the webhook-id
	EventID       string     `json:"eventId"`
	CustomerID    string     `json:"customerId"`
	Topic         string     `json:"topic"`
	State         string     `json:"state"` // pending, delivered, failed
	Attempts      int        `json:"attempts"`
	CreatedAt     time.Time  `json:"createdAt"`
	NextAttemptAt *time.Time `json:"nextAttemptAt"` // null unless it is pending
	RetryUntil    time.Time  `json:"retryUntil"`
	LastAttemptAt *time.Time `json:"lastAttemptAt"`
	Status        *int       `json:"status"` // of the last answer; null: there was none
	Code          *string    `json:"code"`   // why the last attempt failed
	Answer        *string    `json:"answer"` // the beginning of the last one; null: there was none, or it cannot be opened any more
	SettledAt     *time.Time `json:"settledAt"`
}

// EndpointPlace is the place of a delivery in an endpoint's list.
type EndpointPlace struct {
	CreatedAt time.Time `json:"createdAt"`
	ID        string    `json:"id"`
}

// EndpointDeliveriesQuestion asks for an endpoint's deliveries, newest first.
type EndpointDeliveriesQuestion struct {
	ID     int64          `json:"id"`
	State  string         `json:"state,omitempty"`
	Before *EndpointPlace `json:"before,omitempty"` // the Next of the page before
	Limit  int32          `json:"limit,omitempty"`  // at most 200, default 50
}

// EndpointDeliveriesReply is one page; Next is null on the last.
type EndpointDeliveriesReply struct {
	Deliveries []EndpointDelivery `json:"deliveries"`
	Next       *EndpointPlace     `json:"next"`
}

// EndpointReplay asks endpoints.replay to send a batch of deliveries again that were added since a time, from After on.
type EndpointReplay struct {
	ID    int64          `json:"id"`
	Since time.Time      `json:"since"`
	After *EndpointPlace `json:"after,omitempty"`
}

// EndpointReplayed counts what is sent again; Next is null if there is no more.
type EndpointReplayed struct {
	Seen     int64          `json:"seen"`
	Replayed int64          `json:"replayed"` // those that are pending are passed over
	Next     *EndpointPlace `json:"next"`
}
