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
	Platform          []PlatformContact `json:"platform"` // the platform's contacts that are this one; only of a single contact
	// Differences are the fields of the platform's contacts that differ from this one.
	Differences []ContactDifference `json:"differences"`
}

// ContactDifference is a field in which the platform's contact and Virtuous' contact differ, without the values.
type ContactDifference struct {
	ReferenceID    string    `json:"referenceId"` // of the platform's contact
	Field          string    `json:"field"`       // name, email, phone, address
	State          string    `json:"state"`       // virtuous_pending, partner_pending, conflict
	Reason         *string   `json:"reason"`      // of a conflict, as in a review item
	OtherContactID *int64    `json:"otherContactId"`
	Since          time.Time `json:"since"`
}

// PlatformContact names a contact of the platform.
type PlatformContact struct {
	ReferenceID string `json:"referenceId"`
	Status      string `json:"status"`
}

// ContactTransaction is a contact of the platform on its way into Virtuous, without a person's data.
type ContactTransaction struct {
	ID                 int64      `json:"id"`
	ReferenceID        string     `json:"referenceId"`
	Status             string     `json:"status"` // as a donation's
	TransactionSource  string     `json:"transactionSource"`
	Attempts           int        `json:"attempts"`
	NextAttemptAt      *time.Time `json:"nextAttemptAt"`
	AttemptStartedAt   *time.Time `json:"attemptStartedAt"`
	UnansweredSince    *time.Time `json:"unansweredSince"`
	SubmittedAt        *time.Time `json:"submittedAt"`
	Repeated           bool       `json:"repeated"`
	LookedUpAt         *time.Time `json:"lookedUpAt"`
	NextLookupAt       *time.Time `json:"nextLookupAt"`
	ConfirmedAt        *time.Time `json:"confirmedAt"`
	VirtuousContactID  *int64     `json:"virtuousContactId"`
	RecoveryPath       *string    `json:"recoveryPath"`
	ReviewReason       *string    `json:"reviewReason"`
	LastError          *string    `json:"lastError"`
	CloseReason        *string    `json:"closeReason"`
	PlatformModifiedAt *time.Time `json:"platformModifiedAt"` // of the newest version
	CompareWantedAt    *time.Time `json:"compareWantedAt"`    // since when that version waits to be compared with Virtuous' contact
	CreatedAt          time.Time  `json:"createdAt"`
	StatusAt           time.Time  `json:"statusAt"`
	// Differences are the fields in which it differs from Virtuous' contact.
	Differences []ContactDifference `json:"differences"`
}

// ContactAppliedQuestion asks rollcall.api.contacts.applied to note that the platform has Virtuous' values by now: that of a message on
// rollcall.giving.applied.<customer>.
type ContactAppliedQuestion struct {
	CustomerID        string   `json:"customerId"`
	ReferenceID       string   `json:"referenceId,omitempty"`       // or
	VirtuousContactID int64    `json:"virtuousContactId,omitempty"` // all contacts of the platform that are this one
	Fields            []string `json:"fields,omitempty"`            // absent: all that wait for the platform
}

// ContactApplied is what was settled.
type ContactApplied struct {
	CustomerID string   `json:"customerId"`
	Fields     []string `json:"fields"` // empty: nothing waited for the platform
}

// ContactTransactionsQuestion asks rollcall.api.contacts.transactions for the platform's contacts, newest first.
type ContactTransactionsQuestion struct {
	CustomerID string `json:"customerId"`
	State      string `json:"state,omitempty"` // "": every one
	Before     int64  `json:"before,omitempty"`
	Limit      int32  `json:"limit,omitempty"`
}

// ContactTransactionsReply is one page; Next is null on the last.
type ContactTransactionsReply struct {
	Contacts []ContactTransaction `json:"contacts"`
	Next     *int64               `json:"next"`
}

// ContactTransactionQuestion asks rollcall.api.contacts.transaction, retry or close about a contact of the platform.
type ContactTransactionQuestion struct {
	CustomerID  string `json:"customerId"`
	ReferenceID string `json:"referenceId"`
	Reason      string `json:"reason,omitempty"` // of close
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
