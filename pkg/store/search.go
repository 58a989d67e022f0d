package store

import (
	"context"

	"rollcall.dev/pkg/store/internal/db"
)

// FoundRecord is a record that a search found. Kind is gift or contact; a donation and its gift are one.
type FoundRecord struct{ Customer, Kind, ID string }

// SearchUsers returns up to atMost customers of which a user with this id is mirrored, or has a letter. customer is "" for any.
func (c Conn) SearchUsers(ctx context.Context, customer, id string, atMost int32) ([]string, error) {
	return c.queries.SearchUsers(ctx, c.dbtx, &db.SearchUsersParams{RecordID: id, CustomerID: given(customer), AtMost: atMost})
}

// FoundUser is a user that a search by email address found.
type FoundUser struct{ Customer, VomoID string }

// SearchEmail returns up to atMost users who had this address, lower-cased and trimmed, when they were written last. customer is "" for any.
func (c Conn) SearchEmail(ctx context.Context, customer, email string, atMost int32) ([]FoundUser, error) {
	rows, err := c.queries.SearchUsersByEmail(ctx, c.dbtx, &db.SearchUsersByEmailParams{Email: email, CustomerID: given(customer), AtMost: atMost})
	found := make([]FoundUser, 0, len(rows))
	for _, row := range rows {
		found = append(found, FoundUser{Customer: row.CustomerID, VomoID: row.VomoUserID})
	}
	return found, err
}

// SearchGiving returns up to atMost gifts and contacts with this id, as the platform's or as that of Virtuous. virtuousID is 0 if the id can be none of
// Virtuous; customer is "" for any.
func (c Conn) SearchGiving(ctx context.Context, customer, id string, virtuousID int64, atMost int32) ([]FoundRecord, error) {
	rows, err := c.queries.SearchGiving(ctx, c.dbtx, &db.SearchGivingParams{
		RecordID: id, VirtuousID: virtuousID, CustomerID: given(customer), AtMost: atMost,
	})
	found := make([]FoundRecord, 0, len(rows))
	for _, row := range rows {
		found = append(found, FoundRecord{Customer: row.CustomerID, Kind: row.Kind, ID: id})
	}
	return found, err
}

// SearchTrace returns up to atMost donations whose trace has this id, of 32 hexadecimal digits in lower case. customer is "" for any.
func (c Conn) SearchTrace(ctx context.Context, customer, trace string, atMost int32) ([]FoundRecord, error) {
	begins := "00-" + trace
	rows, err := c.queries.SearchDonationsByTrace(ctx, c.dbtx, &db.SearchDonationsByTraceParams{
		Lowest: begins + "-", Above: begins + ".", CustomerID: given(customer), AtMost: atMost,
	})
	found := make([]FoundRecord, 0, len(rows))
	for _, row := range rows {
		found = append(found, FoundRecord{Customer: row.CustomerID, Kind: "gift", ID: row.PlatformDonationID})
	}
	return found, err
}
