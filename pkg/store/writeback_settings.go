package store

import (
	"encoding/json"
	"fmt"
)

// WriteBack says what a customer's external system may write to VOMO.
type WriteBack struct {
	Fields []string `json:"fields"` // that the external system owns, as in the onboarding message
	Create bool     `json:"create"` // whether users that VOMO does not have are added there
}

// WritesBack returns what the customer's external system may write to VOMO; the zero value if it may write nothing.
func (c Customer) WritesBack() (WriteBack, error) {
	var settings WriteBack
	if c.WriteBack == nil {
		return settings, nil
	}
	if err := json.Unmarshal(c.WriteBack, &settings); err != nil {
		return settings, fmt.Errorf("decode writeBack of %s: %w", c.ID, err)
	}
	return settings, nil
}

// Encode returns the settings as they are stored; nil if nothing is written back.
func (w WriteBack) Encode() ([]byte, error) {
	if len(w.Fields) == 0 {
		return nil, nil
	}
	encoded, err := json.Marshal(w)
	if err != nil {
		return nil, fmt.Errorf("encode writeBack: %w", err)
	}
	return encoded, nil
}
