package destination

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// partialRecord is a Record of which some fields may be missing: nil leaves a field out, and a pointer to nil is null.
type partialRecord struct {
	ExternalID      string       `json:"external_id"`
	Email           *string      `json:"email"`
	FirstName       **string     `json:"first_name,omitempty"`
	LastName        **string     `json:"last_name,omitempty"`
	Phone           **string     `json:"phone,omitempty"`
	CustomFields    CustomFields `json:"custom_fields"`
	SourceUpdatedAt time.Time    `json:"source_updated_at"`
}

// JSON returns the record as a destination gets it: without the fields that Without names.
func (r Record) JSON() ([]byte, error) {
	var value any = r
	if len(r.Without) > 0 {
		partial := partialRecord{
			ExternalID: r.ExternalID, Email: r.Email, CustomFields: r.CustomFields, SourceUpdatedAt: r.SourceUpdatedAt,
		}
		for _, field := range []struct {
			name string
			from **string
			into ***string
		}{
			{"first_name", &r.FirstName, &partial.FirstName},
			{"last_name", &r.LastName, &partial.LastName},
			{"phone", &r.Phone, &partial.Phone},
		} {
			if !slices.Contains(r.Without, field.name) {
				*field.into = field.from
			}
		}
		value = partial
	}
	body, err := json.Marshal(value)
	if err != nil {
		return nil, fmt.Errorf("encode record: %w", err)
	}
	return body, nil
}
