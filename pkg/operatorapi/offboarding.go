package operatorapi

import "time"

// OffboardingQuestion asks rollcall.api.offboardings.get.
type OffboardingQuestion struct {
	CustomerID string `json:"customerId"`
}

// Offboarding says what an offboarding of a customer deletes and when, or how far it is. Nothing is changed by the question.
type Offboarding struct {
	CustomerID   string     `json:"customerId"`
	AsOf         time.Time  `json:"asOf"`
	OffboardedAt *time.Time `json:"offboardedAt"` // null: the customer is not offboarded
	Step         *string    `json:"step"`         // what the offboarding does next, as blank_records or retain; null: none is under way
	PurgeAt      time.Time  `json:"purgeAt"`      // until then a return needs no backfill; if none is under way: if it began now

	AtOnce OffboardingAtOnce `json:"atOnce"`
	Soon   OffboardingSoon   `json:"soon"`
	Purge  OffboardingPurge  `json:"purge"`
	Giving OffboardingGiving `json:"giving"`
}

// OffboardingGiving is what of the customer's donations and contacts is not in Virtuous yet. They are closed, and the offboarding needs force.
type OffboardingGiving struct {
	Queued    uint64   `json:"queued"` // in ROLLCALL_DONATIONS, and not captured yet
	Pending   int64    `json:"pending"`
	Submitted int64    `json:"submitted"`
	Donations []string `json:"donations"` // their ids, the oldest first; not more than a hundred

	PendingContacts   int64    `json:"pendingContacts"`
	SubmittedContacts int64    `json:"submittedContacts"`
	Contacts          []string `json:"contacts"` // their references, as the donations' ids
}

// OffboardingAtOnce is what the first transaction ends or deletes.
type OffboardingAtOnce struct {
	Credentials         []string `json:"credentials"`
	DataKey             bool     `json:"dataKey"` // what it sealed can never be opened again
	OpenRuns            int64    `json:"openRuns"`
	UnpublishedMessages int64    `json:"unpublishedMessages"`
}

// OffboardingSoon is what goes within seconds or minutes, before the customer can return.
type OffboardingSoon struct {
	Addresses    int64             `json:"addresses"` // of users, in the mapping
	OpenLetters  int64             `json:"openLetters"`
	ActiveAlerts int64             `json:"activeAlerts"`
	Messages     map[string]uint64 `json:"messages"` // by stream
}

// OffboardingPurge is what goes at purgeAt. The audit and the job log stay; they have ids and no other personal data.
type OffboardingPurge struct {
	Users          int64 `json:"users"` // of the mapping
	SettledLetters int64 `json:"settledLetters"`
}
