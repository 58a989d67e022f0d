package main

import (
	"crypto/sha256"
	"strings"
	"time"
)

// page is the needed part of an answer to GET /users.
type page struct {
	Data []user `json:"data"`
	Meta struct {
		Total int `json:"total"`
	} `json:"meta"`
}

type user struct {
	ID             int64     `json:"id"`
	FirstName      *string   `json:"first_name"`
	LastName       *string   `json:"last_name"`
	Email          *string   `json:"email"`
	Phone          *string   `json:"phone"`
	UserStatus     *string   `json:"user_status"`
	MembershipRole *string   `json:"membership_role"`
	CreatedAt      time.Time `json:"created_at"`
	UpdatedAt      time.Time `json:"updated_at"`
}

// record is a user in the destination's form.
type record struct {
	ExternalID      string       `json:"external_id"`
	Email           *string      `json:"email"`
	FirstName       *string      `json:"first_name"`
	LastName        *string      `json:"last_name"`
	Phone           *string      `json:"phone"`
	CustomFields    customFields `json:"custom_fields"`
	SourceUpdatedAt time.Time    `json:"source_updated_at"`
}

type customFields struct {
	UserStatus     *string   `json:"user_status"`
	MembershipRole *string   `json:"membership_role"`
	VOMOCreatedAt  time.Time `json:"vomo_created_at"`
}

func (u user) record(id string) record {
	return record{
		ExternalID: "vomo-" + id, Email: u.Email, FirstName: u.FirstName, LastName: u.LastName, Phone: u.Phone,
		CustomFields:    customFields{UserStatus: u.UserStatus, MembershipRole: u.MembershipRole, VOMOCreatedAt: u.CreatedAt.UTC()},
		SourceUpdatedAt: u.UpdatedAt.UTC(),
	}
}

// row is what Postgres stores of a user.
type row struct {
	id, externalID, email string
	updatedAt             time.Time
	hash                  []byte
}

func newRow(id, externalID string, u user, body []byte) row {
	sum := sha256.Sum256(body)
	r := row{id: id, externalID: externalID, updatedAt: u.UpdatedAt, hash: sum[:]}
	if u.Email != nil {
		r.email = strings.ToLower(strings.TrimSpace(*u.Email))
	}
	return r
}
