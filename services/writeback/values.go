package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
)

// purposeValues is the purpose for which the values of a row are sealed.
const purposeValues = "writeback_values"

// fieldEmail is the address in a message. It finds a user and is never written to one that VOMO has.
const fieldEmail = "email"

// values are what the external system wants to have in VOMO, by the fields' names in messages.
type values map[string]string

func (v values) encode() ([]byte, error) {
	encoded, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("encode values: %w", err)
	}
	return encoded, nil
}

func decodeValues(encoded []byte) (values, error) {
	v := values{}
	if err := json.Unmarshal(encoded, &v); err != nil {
		return nil, fmt.Errorf("decode values: %w", err)
	}
	return v, nil
}

// newerOf adds the values of a message that are newer than those of an earlier message. stamps says when each field's latest
// value was published. changed is false if the message was handled before, or if later ones have replaced all of it.
func (v values) newerOf(stamps map[string]int64, sent values, published int64) (changed bool) {
	for field, value := range sent {
		if latest, known := stamps[field]; known && latest >= published {
			continue
		}
		v[field], stamps[field], changed = value, published, true
	}
	return changed
}

// byOwner divides the values into those that may be written and the names of the others. The address is neither.
func (v values) byOwner(owned []string) (accepted values, refused []string) {
	accepted = maps.Clone(v)
	for _, field := range slices.Sorted(maps.Keys(v)) {
		switch {
		case field == fieldEmail:
			delete(accepted, field)
		case !slices.Contains(owned, field):
			delete(accepted, field)
			refused = append(refused, field)
		}
	}
	return accepted, refused
}
