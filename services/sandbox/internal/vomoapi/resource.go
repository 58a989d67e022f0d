package vomoapi

import (
	"time"

	"rollcall.dev/services/sandbox/internal/organisation"
	"rollcall.dev/services/sandbox/internal/person"
)

// timeForm is how VOMO writes a time: whole seconds and a numeric offset, never Z.
const timeForm = "2006-01-02T15:04:05-07:00"

// User is a user as VOMO lists them (UserResource).
type User struct {
	Type             string  `json:"type"`
	ID               any     `json:"id"` // int64 or string
	FirstName        string  `json:"first_name"`
	LastName         string  `json:"last_name"`
	FullName         string  `json:"full_name"`
	Email            *string `json:"email"`
	Address          *string `json:"address"`
	Phone            *string `json:"phone"`
	Birthday         *string `json:"birthday"`
	Gender           *string `json:"gender"`
	CreatedAt        string  `json:"created_at"`
	UpdatedAt        string  `json:"updated_at"`
	UserStatus       *string `json:"user_status"`
	MembershipStatus string  `json:"membership_status"`
	MembershipRole   string  `json:"membership_role"`
}

// detail is a user as VOMO shows a single one (UserDetailResource).
type detail struct {
	User
	Participations     []any `json:"participations"`
	ProfileFieldValues []any `json:"profile_field_values"`
}

// Resource renders a person as a user of an organisation.
func Resource(o *organisation.Organisation, p person.Person) User {
	return User{
		Type:             "user",
		ID:               o.WireID(p.ID),
		FirstName:        p.FirstName,
		LastName:         p.LastName,
		FullName:         p.FullName(),
		Email:            p.Email,
		Address:          p.Address,
		Phone:            p.Phone,
		Birthday:         p.Birthday,
		Gender:           p.Gender,
		CreatedAt:        p.Created.UTC().Format(timeForm),
		UpdatedAt:        p.Updated.UTC().Format(timeForm),
		UserStatus:       p.UserStatus,
		MembershipStatus: p.MembershipStatus,
		MembershipRole:   p.MembershipRole,
	}
}

func detailOf(o *organisation.Organisation, p person.Person) detail {
	return detail{User: Resource(o, p), Participations: []any{}, ProfileFieldValues: []any{}}
}

// parseTime reads a time of a filter: RFC 3339, a time without a zone (then UTC), or a date. A date as the
// upper end means the whole day.
func parseTime(text string, upper bool) (time.Time, bool) {
	for _, form := range []string{time.RFC3339, "2006-01-02T15:04:05", time.DateTime} {
		if at, err := time.Parse(form, text); err == nil {
			return at, true
		}
	}
	day, err := time.Parse(time.DateOnly, text)
	if err != nil {
		return time.Time{}, false
	}
	if upper {
		day = day.AddDate(0, 0, 1).Add(-time.Second)
	}
	return day, true
}
