package vomo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"rollcall.dev/pkg/fault"
)

// Profile is what an upsert sets. VOMO finds the user by Email, in any letter case, and requires every field but Phone. Without a
// Phone it keeps the one that it has. What it does with an empty one is not documented, so none is sent: whether it removes
// the number, ignores it or rejects the user is unknown.
type Profile struct {
	Email     string  `json:"email"`
	FirstName string  `json:"first_name"`
	LastName  string  `json:"last_name"`
	Birthday  string  `json:"birthday"` // YYYY-MM-DD
	Gender    string  `json:"gender"`   // M, F or N
	Phone     *string `json:"phone,omitempty"`
}

// Upserted is VOMO's answer to an upsert. The answer is a success also if VOMO changed nothing: of a member of another
// organisation it changes no name and no phone. Compare Detail with what was sent.
type Upserted struct {
	Detail  Detail // the user as VOMO has it now; empty if the answer does not say
	Created bool
}

// UpsertRejection means that VOMO rejects this user as it was sent; the same request again has the same answer.
type UpsertRejection struct {
	Status int
	Fields []string // of Profile, by their names in VOMO, that the answer complains about
}

// Error names the status and fields, and quotes nothing of the answer.
func (r *UpsertRejection) Error() string {
	text := "VOMO answered " + strconv.Itoa(r.Status)
	if len(r.Fields) > 0 {
		text += " because of " + strings.Join(r.Fields, ", ")
	}
	return text
}

// Upsert updates the user who has the address, or adds one, with retries as described in the package comment. The same
// request twice has the effect of one. Its error is a permanent fault with an *UpsertRejection, or one of Page's.
func (c *Client) Upsert(ctx context.Context, profile Profile) (Upserted, error) {
	body, err := json.Marshal(profile)
	if err != nil {
		return Upserted{}, fault.Permanent("vomo_profile_invalid", errors.New("the user cannot be written as JSON"))
	}
	a, err := c.fetch(ctx, ask{upsert: body, attempts: c.attempts, awaitSend: c.awaitSend})
	if err != nil {
		return Upserted{}, fmt.Errorf("upsert a user: %w", err)
	}
	return Upserted{Detail: detailOf(a), Created: a.created}, nil
}

// maxRejection limits how much of a rejection is read.
const maxRejection = 64 << 10

// isRejection reports whether a status says that the user itself is wrong, and not the address, the token, the pace or the
// server.
func isRejection(status int) bool {
	return status == http.StatusBadRequest || status == http.StatusConflict || status == http.StatusUnprocessableEntity
}

// rejectedUpsert returns the fault of a rejection, with the known fields that it names.
func rejectedUpsert(r reply) error {
	rejection := &UpsertRejection{Status: r.status}
	var answered struct {
		Errors map[string]json.RawMessage `json:"errors"`
	}
	if json.Unmarshal(r.body, &answered) == nil {
		for _, field := range []string{"email", "first_name", "last_name", "birthday", "gender", "phone"} {
			if _, named := answered.Errors[field]; named {
				rejection.Fields = append(rejection.Fields, field)
			}
		}
	}
	return fault.Permanent("vomo_http_"+strconv.Itoa(r.status), rejection)
}

// decodeUpserted returns the user of the answer. An answer that cannot be read is a success all the same: the write has
// happened, and the caller reads the user.
func decodeUpserted(r reply) answer {
	a, err := decodeDetail(r.body, "")
	if err != nil {
		a = answer{}
	}
	a.created = r.status == http.StatusCreated
	return a
}

// WithEmail returns the users with this address, in any letter case: none, one, or the first two of several. It reads the
// list of those whose address contains it. Its errors are those of Page.
func (c *Client) WithEmail(ctx context.Context, email string) ([]User, error) {
	var found []User
	for page, err := range c.Scan(ctx, Query{EmailLike: email}, ScanOptions{Ahead: 1}).Pages() {
		if err != nil {
			return nil, err
		}
		for _, user := range page.Users {
			known := slices.ContainsFunc(found, func(other User) bool { return other.ID == user.ID })
			if !known && user.Email != nil && strings.EqualFold(strings.TrimSpace(*user.Email), email) {
				found = append(found, user)
			}
		}
		if len(found) > 1 {
			return found[:2], nil
		}
	}
	return found, nil
}
