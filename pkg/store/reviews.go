package store

import (
	"context"
	"time"

	"rollcall.dev/pkg/store/internal/db"
)

// ReviewItem waits for a person's decision.
type ReviewItem struct {
	ID        int64
	Customer  string
	Kind      string
	SourceID  int64  // the row that it is about, in the kind's own table
	RecordID  string // the user's VOMO id, or the id of the contact or gift at Virtuous; "" if it is not known
	Reason    string
	Decisions []string // that are allowed
	State     string   // "open", "decided" or "superseded"
	Decision  string   // "" unless it is decided
	CreatedAt time.Time
	SettledAt *time.Time
}

// PurposeReviewDetails is the purpose for which the details of items are sealed with the customer's data key.
const PurposeReviewDetails = "review_details"

// KindUser is the kind of items about values that an external system wants to write to VOMO.
const KindUser = "user"

// ReviewOpenState is the state of an item that waits.
const ReviewOpenState = "open"

// OpenReview adds an item with its sealed details. It replaces the open item of the same row.
func (t *Tx) OpenReview(ctx context.Context, item ReviewItem, detailsSealed []byte) (id int64, err error) {
	if err := t.SupersedeReview(ctx, item.Customer, item.Kind, item.SourceID); err != nil {
		return 0, err
	}
	return t.queries.ReviewOpen(ctx, t.dbtx, &db.ReviewOpenParams{
		CustomerID: item.Customer, Kind: item.Kind, SourceID: item.SourceID, RecordID: item.RecordID, Reason: item.Reason,
		DetailsSealed: detailsSealed, Decisions: item.Decisions,
	})
}

// SupersedeReview ends the open item of a row that has changed.
func (t *Tx) SupersedeReview(ctx context.Context, customer, kind string, sourceID int64) error {
	return t.queries.ReviewSupersede(ctx, t.dbtx, &db.ReviewSupersedeParams{CustomerID: customer, Kind: kind, SourceID: sourceID})
}

// SupersedeReviewsOfRecord ends the open items of a kind about a record that has changed.
func (t *Tx) SupersedeReviewsOfRecord(ctx context.Context, customer, kind, recordID string) error {
	return t.queries.ReviewsSupersedeOfRecord(ctx, t.dbtx, &db.ReviewsSupersedeOfRecordParams{CustomerID: customer, Kind: kind, RecordID: recordID})
}

// SupersedeGivingReviews ends up to atMost of a customer's open items about gifts and contacts, which are forgotten, and returns how many it ended.
func (t *Tx) SupersedeGivingReviews(ctx context.Context, customer string, atMost int32) (int64, error) {
	return t.queries.ReviewsSupersedeOfKinds(ctx, t.dbtx, &db.ReviewsSupersedeOfKindsParams{
		CustomerID: customer, Kinds: []string{KindContact, KindGift}, AtMost: atMost,
	})
}

// ReviewsAsked says which items are listed, in the order of their ids.
type ReviewsAsked struct {
	Customer string // "": of all customers; only open items can be listed of all
	Kind     string // "": every kind
	Settled  bool   // settled items, too
	After    int64  // ids after this one
	AtMost   int32
}

// Reviews lists items.
func (c Conn) Reviews(ctx context.Context, asked ReviewsAsked) ([]ReviewItem, error) {
	if asked.Settled {
		rows, err := c.queries.ReviewsAll(ctx, c.dbtx, &db.ReviewsAllParams{
			CustomerID: asked.Customer, After: asked.After, Kind: given(asked.Kind), AtMost: asked.AtMost,
		})
		items := make([]ReviewItem, 0, len(rows))
		for _, row := range rows {
			open := db.ReviewsOpenRow(*row)
			items = append(items, reviewFrom(&open))
		}
		return items, err
	}
	rows, err := c.queries.ReviewsOpen(ctx, c.dbtx, &db.ReviewsOpenParams{
		After: asked.After, CustomerID: given(asked.Customer), Kind: given(asked.Kind), AtMost: asked.AtMost,
	})
	items := make([]ReviewItem, 0, len(rows))
	for _, row := range rows {
		items = append(items, reviewFrom(row))
	}
	return items, err
}

func reviewFrom(row *db.ReviewsOpenRow) ReviewItem {
	return ReviewItem{
		ID: row.ID, Customer: row.CustomerID, Kind: row.Kind, SourceID: row.SourceID, RecordID: row.RecordID, Reason: row.Reason,
		Decisions: row.Decisions, State: row.State, Decision: row.Decision, CreatedAt: row.CreatedAt, SettledAt: row.SettledAt,
	}
}

// Review returns an item with its sealed details, nil once it is settled. ErrNotFound if the customer has no such item.
func (c Conn) Review(ctx context.Context, customer string, id int64) (item ReviewItem, detailsSealed []byte, err error) {
	row, err := c.queries.ReviewGet(ctx, c.dbtx, &db.ReviewGetParams{ID: id, CustomerID: customer})
	if err != nil {
		return ReviewItem{}, nil, err
	}
	return ReviewItem{
		ID: row.ID, Customer: row.CustomerID, Kind: row.Kind, SourceID: row.SourceID, RecordID: row.RecordID, Reason: row.Reason,
		Decisions: row.Decisions, State: row.State, Decision: row.Decision, CreatedAt: row.CreatedAt, SettledAt: row.SettledAt,
	}, row.DetailsSealed, nil
}

// DecideReview settles an open item with an allowed decision; decided is false if it is settled already, or if the decision
// is not allowed.
func (t *Tx) DecideReview(ctx context.Context, customer string, id int64, decision string) (decided bool, err error) {
	_, err = t.queries.ReviewDecide(ctx, t.dbtx, &db.ReviewDecideParams{Decision: decision, ID: id, CustomerID: customer})
	return found(err)
}

// CountOpenReviews returns how many of a customer's items of a kind wait.
func (c Conn) CountOpenReviews(ctx context.Context, customer, kind string) (int64, error) {
	return c.queries.ReviewsOpenCount(ctx, c.dbtx, &db.ReviewsOpenCountParams{CustomerID: customer, Kind: kind})
}

// ForgetReviewsOf deletes up to atMost of an offboarded customer's items, and returns how many it deleted.
func (t *Tx) ForgetReviewsOf(ctx context.Context, customer string, atMost int32) (int64, error) {
	return t.queries.ReviewsForgetOf(ctx, t.dbtx, &db.ReviewsForgetOfParams{CustomerID: customer, AtMost: atMost})
}

// ForgetReviews deletes up to atMost items that were settled longer than age ago, and returns how many it deleted.
func (c Conn) ForgetReviews(ctx context.Context, age time.Duration, atMost int32) (int64, error) {
	return c.queries.ReviewsForget(ctx, c.dbtx, &db.ReviewsForgetParams{OlderThan: age, AtMost: atMost})
}
