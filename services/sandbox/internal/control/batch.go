package control

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"rollcall.dev/services/sandbox/internal/answer"
	"rollcall.dev/services/sandbox/internal/vomo"
)

// maxBatch is how many users one batch may add, edit and delete.
const maxBatch = 10_000

// batch is a set of changes at one instant: edits, then deletions, then additions.
type batch struct {
	Edits  []edit    `json:"edits"`
	Delete []userID  `json:"delete"`
	Add    additions `json:"add"`
}

// edit changes one user. Several edits of one user are made in their order.
type edit struct {
	ID userID `json:"id"`
	userFields
}

// userID is an id in any of VOMO's forms.
type userID int64

// UnmarshalJSON reads a number or a number as text.
func (u *userID) UnmarshalJSON(text []byte) error {
	if unquoted, err := strconv.Unquote(string(text)); err == nil {
		text = []byte(unquoted)
	}
	id, err := strconv.ParseInt(string(text), 10, 64)
	if err != nil {
		return fmt.Errorf("decode id: %w", err)
	}
	*u = userID(id)
	return nil
}

// additions are a number of invented users, or a list of users with their fields.
type additions []userFields

// UnmarshalJSON reads a number or a list of users.
func (a *additions) UnmarshalJSON(text []byte) error {
	count, err := strconv.Atoi(string(text))
	switch {
	case err != nil:
		return answer.Strict(text, (*[]userFields)(a))
	case count < 0 || count > maxBatch:
		return fmt.Errorf("add is %d, not 0 to %d", count, maxBatch)
	}
	*a = make(additions, count)
	return nil
}

// wrong says what is invalid in a batch without a look at the users, or "".
func (b batch) wrong() string {
	if len(b.Edits) > maxBatch || len(b.Delete) > maxBatch || len(b.Add) > maxBatch {
		return fmt.Sprintf("a batch edits, deletes and adds at most %d users each", maxBatch)
	}
	for i, e := range b.Edits {
		if name := e.wrongNull(); name != "" {
			return fmt.Sprintf("edit %d: field %s cannot be null", i, name)
		}
	}
	for i, fields := range b.Add {
		if name := fields.wrongNull(); name != "" {
			return fmt.Sprintf("addition %d: field %s cannot be null", i, name)
		}
	}
	return ""
}

// batched is the result of a batch. The ids are numbers in each of VOMO's forms.
type batched struct {
	At      string  `json:"at"`     // the instant: RFC 3339, whole seconds, UTC
	Edited  []int64 `json:"edited"` // each user once, in the order of the first edits
	Deleted []int64 `json:"deleted"`
	Added   []int64 `json:"added"` // in the order of the request
}

// batchUsers makes all changes of a request, or none of them if one fails.
func (a *API) batchUsers(w http.ResponseWriter, r *http.Request) {
	found := a.named(w, r.PathValue("name"))
	var request batch
	if found == nil || !decode(w, r, &request) {
		return
	}
	if why := request.wrong(); why != "" {
		refuse(w, http.StatusUnprocessableEntity, why)
		return
	}
	result := batched{Edited: []int64{}, Deleted: []int64{}, Added: []int64{}}
	err := found.AtOnce(func(changes vomo.Batch) error {
		// The lock is held: a list that is answered after this instant shows these changes.
		now := a.Clock.Now()
		result.At = now.UTC().Format(time.RFC3339)
		return result.apply(changes, request, now)
	})
	if err != nil {
		refuseChange(w, err)
		return
	}
	answer.JSON(w, http.StatusOK, result)
}

func (b *batched) apply(changes vomo.Batch, request batch, now time.Time) error {
	edited := make(map[int64]bool, len(request.Edits))
	for i, e := range request.Edits {
		id := int64(e.ID)
		if _, err := changes.Edit(id, e.edition(now)); err != nil {
			return fmt.Errorf("edit %d: %w", i, err)
		}
		if !edited[id] {
			edited[id] = true
			b.Edited = append(b.Edited, id)
		}
	}
	for _, id := range request.Delete {
		b.Deleted = append(b.Deleted, int64(id))
	}
	if err := changes.Remove(b.Deleted); err != nil {
		return fmt.Errorf("delete: %w", err)
	}
	b.Added = slices.Grow(b.Added, len(request.Add))
	for i, fields := range request.Add {
		user, err := changes.Enrol(fields.enrolment(now))
		if err != nil {
			return fmt.Errorf("addition %d: %w", i, err)
		}
		b.Added = append(b.Added, user.ID)
	}
	return nil
}
