package store

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"rollcall.dev/pkg/store/internal/db"
)

// MissingProjects says which codes no active project of the customer has, as far as is known.
type MissingProjects struct {
	IsKnown   bool     // there is a list, of any age
	IsCurrent bool     // the list was asked for lately, and was loaded since
	Codes     []string // all of them if there is no list
}

// MissingProjects compares codes in lower case with the list of the customer's projects. every is that of AskForProjects.
func (c Conn) MissingProjects(ctx context.Context, customer string, codes []string, every time.Duration) (MissingProjects, error) {
	row, err := c.queries.ProjectsMissing(ctx, c.dbtx, &db.ProjectsMissingParams{CustomerID: customer, Codes: codes, Every: every})
	if isNotFound(err) {
		return MissingProjects{Codes: codes}, nil
	}
	if err != nil {
		return MissingProjects{}, err
	}
	return MissingProjects{IsKnown: row.IsKnown, IsCurrent: row.IsCurrent, Codes: row.Missing}, nil
}

// AskForProjects claims the next load of the list of projects; asked is false if another one was claimed within every, or if the customer
// has no giving. at is for SaveProjects.
func (s *Store) AskForProjects(ctx context.Context, customer string, every time.Duration) (at time.Time, asked bool, err error) {
	err = s.InTx(ctx, func(ctx context.Context, tx *Tx) error {
		asked = false
		if err := tx.LockCustomer(ctx, customer); err != nil { // an offboarding deletes the list
			return err
		}
		at, err = tx.queries.ProjectsAskIfDue(ctx, tx.dbtx, &db.ProjectsAskIfDueParams{CustomerID: customer, Every: every})
		if isNotFound(err) {
			return nil
		}
		asked = err == nil
		return err
	})
	return at, asked, err
}

// SaveProjects stores the list that was asked for at this time: for each code in lower case, whether a project with it is active.
func (c Conn) SaveProjects(ctx context.Context, customer string, at time.Time, active map[string]bool) error {
	value, err := json.Marshal(active)
	if err != nil {
		return fmt.Errorf("encode projects: %w", err)
	}
	_, err = c.queries.ProjectsSaveIfAsked(ctx, c.dbtx, &db.ProjectsSaveIfAskedParams{CustomerID: customer, AskedAt: at, Value: value})
	return err
}
