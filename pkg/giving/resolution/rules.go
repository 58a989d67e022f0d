package resolution

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// storedRules are rules in the column resolution of virtuous_configs.
type storedRules struct {
	Policy string            `json:"policy,omitempty"`
	Owners map[string]string `json:"owners,omitempty"`
}

// Parse returns the rules that are stored, those of store.VirtuousConfig.Resolution. What this version cannot read in full is a policy that it
// does not know, so that Decide leaves every field to staff: a part that was left out could narrow the rules.
func Parse(stored []byte) Rules {
	if len(stored) == 0 {
		return Rules{}
	}
	var rules storedRules
	decoder := json.NewDecoder(bytes.NewReader(stored))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&rules); err != nil {
		return Rules{Policy: string(stored)}
	}
	return Rules(rules)
}

// Encode returns the rules in the form that is stored. The default is {}, in whichever way it is given.
func (r Rules) Encode() ([]byte, error) {
	stored := storedRules(r)
	if stored.Policy == VirtuousCanonical {
		stored.Policy = ""
	}
	encoded, err := json.Marshal(stored)
	if err != nil {
		return nil, fmt.Errorf("encode rules of resolution: %w", err)
	}
	return encoded, nil
}
