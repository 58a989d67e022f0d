package operatorapi

import (
	"encoding/json"
	"time"
)

// MaxGiving is the largest number of rows in one page about giving, and the default.
const MaxGiving = 100

// Donation is a donation without its donor.
type Donation struct {
	ID                 int64      `json:"id"`
	PlatformDonationID string     `json:"platformDonationId"`
	Status             string     `json:"status"`
	TransactionSource  string     `json:"transactionSource"`
	Attempts           int        `json:"attempts"`
	NextAttemptAt      *time.Time `json:"nextAttemptAt"`
	AttemptStartedAt   *time.Time `json:"attemptStartedAt"` // of an attempt without a recorded answer
	UnansweredSince    *time.Time `json:"unansweredSince"`  // the first attempt that may have been accepted
	SubmittedAt        *time.Time `json:"submittedAt"`
	Repeated           bool       `json:"repeated"` // Virtuous said that it has the transaction already
	LookedUpAt         *time.Time `json:"lookedUpAt"`
	NextLookupAt       *time.Time `json:"nextLookupAt"`
	ConfirmedAt        *time.Time `json:"confirmedAt"`
	VirtuousGiftID     *int64     `json:"virtuousGiftId"`
	VirtuousContactID  *int64     `json:"virtuousContactId"`
	RecoveryPath       *string    `json:"recoveryPath"`
	ReviewReason       *string    `json:"reviewReason"`
	LastError          *string    `json:"lastError"` // field names and codes
	CloseReason        *string    `json:"closeReason"`
	CreatedAt          time.Time  `json:"createdAt"`
	StatusAt           time.Time  `json:"statusAt"` // when the state last changed
}

// DonationReview is what a person needs to find the donation in Virtuous.
type DonationReview struct {
	PlatformReference *string  `json:"platformReference"` // such as a charge's id
	MissingSignals    []string `json:"missingSignals"`    // of email, phone, address, referenceId
	Decisions         []string `json:"decisions"`         // retry, close
	ImportsURL        *string  `json:"importsUrl"`        // the page in Virtuous on which staff run imports
	// Donor is null unless it was asked for.
	Donor *Donor `json:"donor"`
}

// Donor is a donation's donor and amount. Showing it is audited.
type Donor struct {
	Name         string `json:"name"`
	Email        string `json:"email"`
	Phone        string `json:"phone"`
	Address      string `json:"address"`
	ReferenceID  string `json:"referenceId"`
	Amount       string `json:"amount"`
	CurrencyCode string `json:"currencyCode"`
	GiftDate     string `json:"giftDate"`
}

// DonationShown is a donation; Review is null unless it needs review, or its details were asked for.
type DonationShown struct {
	Donation

	Review *DonationReview `json:"review"`
}

// DonationsQuestion asks rollcall.api.donations.ls for donations, newest first.
type DonationsQuestion struct {
	CustomerID string `json:"customerId"`
	State      string `json:"state,omitempty"`  // absent: every state
	Donors     bool   `json:"donors,omitempty"` // with donors
	Before     int64  `json:"before,omitempty"` // ids below this one: the Next of the page before
	Limit      int32  `json:"limit,omitempty"`
}

// DonationsReply is one page; Next is null on the last.
type DonationsReply struct {
	Donations []DonationShown `json:"donations"`
	Next      *int64          `json:"next"`
}

// DonationQuestion asks rollcall.api.donations.show, retry or close about a donation, by either id.
type DonationQuestion struct {
	CustomerID         string `json:"customerId"`
	PlatformDonationID string `json:"platformDonationId,omitempty"`
	ID                 int64  `json:"id,omitempty"`
	Donors             bool   `json:"donors,omitempty"` // show: with its donor
	Reason             string `json:"reason,omitempty"` // close: why
}

// Gift is a gift as Virtuous has it. Fields is null in a list.
type Gift struct {
	VirtuousGiftID     int64             `json:"virtuousGiftId"`
	State              string            `json:"state"` // live, reversed, deleted
	SyncState          string            `json:"syncState"`
	Amount             string            `json:"amount"`
	CurrencyCode       string            `json:"currencyCode"`
	GiftDate           string            `json:"giftDate"`
	GiftType           string            `json:"giftType"`
	VirtuousContactID  *int64            `json:"virtuousContactId"`
	TransactionSource  string            `json:"transactionSource"`
	TransactionID      string            `json:"transactionId"`
	PlatformDonationID *string           `json:"platformDonationId"` // of our donation that became the gift
	ModifiedAt         *time.Time        `json:"modifiedAt"`
	CreatedAt          time.Time         `json:"createdAt"` // when rollcall first saw it
	DeletedAt          *time.Time        `json:"deletedAt"`
	LastSyncAt         time.Time         `json:"lastSyncAt"`
	Fields             map[string]string `json:"fields"`
}

// Contact is a contact as Virtuous has it. Fields, which has its names and addresses, is null in a list.
type Contact struct {
	VirtuousContactID int64             `json:"virtuousContactId"`
	State             string            `json:"state"` // live, archived, merged
	SyncState         string            `json:"syncState"`
	ContactType       string            `json:"contactType"`
	MergedInto        *int64            `json:"mergedInto"`
	ModifiedAt        *time.Time        `json:"modifiedAt"`
	CreatedAt         time.Time         `json:"createdAt"`
	LastSyncAt        time.Time         `json:"lastSyncAt"`
	Fields            map[string]string `json:"fields"`
}

// RecordsQuestion asks rollcall.api.gifts.ls or contacts.ls, the highest ids first. An answer is audited.
type RecordsQuestion struct {
	CustomerID string `json:"customerId"`
	Before     int64  `json:"before,omitempty"`
	Limit      int32  `json:"limit,omitempty"`
}

// GiftsReply is one page; Next is null on the last.
type GiftsReply struct {
	Gifts []Gift `json:"gifts"`
	Next  *int64 `json:"next"`
}

// ContactsReply is one page; Next is null on the last.
type ContactsReply struct {
	Contacts []Contact `json:"contacts"`
	Next     *int64    `json:"next"`
}

// RecordQuestion asks rollcall.api.gifts.show or contacts.show by Virtuous' id. An answer is audited.
type RecordQuestion struct {
	CustomerID string `json:"customerId"`
	ID         int64  `json:"id"`
}

// ReconciliationAction is what a reconciliation with Virtuous did with one record.
type ReconciliationAction struct {
	ID               int64           `json:"id"`
	RunAt            time.Time       `json:"runAt"`
	Category         string          `json:"category"`
	Entity           string          `json:"entity"`
	PlatformRecordID *string         `json:"platformRecordId"`
	VirtuousRecordID *int64          `json:"virtuousRecordId"`
	Resolution       string          `json:"resolution"`
	Details          json.RawMessage `json:"details"`
	TraceID          *string         `json:"traceId"`
}

// ReconciliationLogQuestion asks rollcall.api.reconciliations.ls for actions, oldest first.
type ReconciliationLogQuestion struct {
	CustomerID string             `json:"customerId"`
	Category   string             `json:"category,omitempty"` // absent: every one
	From       time.Time          `json:"from"`
	To         time.Time          `json:"to"` // exclusive; absent: now
	After      *ReconciliationPos `json:"after,omitempty"`
	Limit      int32              `json:"limit,omitempty"`
}

// ReconciliationPos is the last action of a page.
type ReconciliationPos struct {
	RunAt time.Time `json:"runAt"`
	ID    int64     `json:"id"`
}

// ReconciliationLogReply is one page; Next is null on the last.
type ReconciliationLogReply struct {
	Actions []ReconciliationAction `json:"actions"`
	Next    *ReconciliationPos     `json:"next"`
}

// GivingReportQuestion asks rollcall.api.reports.show for the report of a day (YYYY-MM-DD), or for one as of now.
type GivingReportQuestion struct {
	CustomerID string `json:"customerId"`
	Date       string `json:"date,omitempty"`
}
