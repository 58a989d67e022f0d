package operatorapi

import "time"

// ReviewItem is one line of `rollcall review ls`: something that waits for a person's decision.
type ReviewItem struct {
	ID         int64      `json:"id"`
	CustomerID string     `json:"customerId"`
	Kind       string     `json:"kind"`     // user: a write-back to VOMO; contact, gift: the two sides of giving differ
	RecordID   *string    `json:"recordId"` // the user's VOMO id, or the contact's or gift's at Virtuous; null: not known
	Reason     string     `json:"reason"`   // such as email_mismatch
	Text       string     `json:"text"`     // what is wrong
	Remedy     string     `json:"remedy"`   // what the decisions do
	Decisions  []string   `json:"decisions"`
	State      string     `json:"state"`    // open, decided, superseded
	Decision   *string    `json:"decision"` // null unless it is decided
	CreatedAt  time.Time  `json:"createdAt"`
	SettledAt  *time.Time `json:"settledAt"`
}

// ReviewDetail is what both sides have for one field.
type ReviewDetail struct {
	Field    string `json:"field"`
	External string `json:"external"` // what the external system wants
	Vomo     string `json:"vomo"`     // what VOMO has; "" if it does not matter

	Partner  string `json:"partner,omitempty"`  // of kinds contact and gift: what the platform has
	Virtuous string `json:"virtuous,omitempty"` // what Virtuous has
}

// ReviewShown is an item with its details, which are a person's data. They are deleted when the item is settled.
type ReviewShown struct {
	ReviewItem

	Details []ReviewDetail `json:"details"`
}

// MaxReviews is the largest number of items in one page.
const MaxReviews = 100

// ReviewsQuestion asks rollcall.api.review.ls for items, oldest first.
type ReviewsQuestion struct {
	CustomerID string `json:"customerId,omitempty"` // absent: open items of all customers
	Kind       string `json:"kind,omitempty"`
	Settled    bool   `json:"settled,omitempty"` // settled items, too
	After      int64  `json:"after,omitempty"`   // ids after this one: the Next of the page before
	Limit      int32  `json:"limit,omitempty"`   // at most MaxReviews, which is the default
}

// ReviewsReply is one page; Next is null on the last.
type ReviewsReply struct {
	Items []ReviewItem `json:"items"`
	Next  *int64       `json:"next"`
}

// ReviewQuestion asks rollcall.api.review.show for an item.
type ReviewQuestion struct {
	CustomerID string `json:"customerId"`
	ItemID     int64  `json:"itemId"`
}

// ReviewDecision asks rollcall.api.review.resolve to settle an item.
type ReviewDecision struct {
	CustomerID string `json:"customerId"`
	ItemID     int64  `json:"itemId"`
	Decision   string `json:"decision"`
}
