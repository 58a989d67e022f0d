package messageletter

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/google/uuid"

	"rollcall.dev/pkg/bus"
)

// controlPrefix is the prefix of headers that instruct the server or that the server set: a message id, what the
// publisher expected of the stream at that time, where the message was stored.
const controlPrefix = "Nats-"

// sealHeaders seals a message's headers, leaving out NATS's own. It returns nil if no header remains.
func sealHeaders(header map[string][]string, seal func(purpose string, plain []byte) ([]byte, error)) ([]byte, error) {
	kept := map[string][]string{}
	for name, values := range header {
		if !isControl(name) {
			kept[name] = values
		}
	}
	if len(kept) == 0 {
		return nil, nil
	}
	plain, err := json.Marshal(kept)
	if err != nil {
		return nil, fmt.Errorf("encode the message's headers: %w", err)
	}
	sealed, err := seal(PurposeHeaders, plain)
	if err != nil {
		return nil, fmt.Errorf("seal the message's headers: %w", err)
	}
	return sealed, nil
}

func isControl(name string) bool {
	return len(name) >= len(controlPrefix) && strings.EqualFold(name[:len(controlPrefix)], controlPrefix)
}

// RedriveHeaders returns the headers of a message that is republished from a letter: the message's own headers, as
// opened from the letter (nil if the letter has none), and the letter's id. If the message fails again, its new
// letter continues the attempts of this one. Any publisher may set that header, so OpenStored accepts it only for a
// redriven letter of the same customer.
func RedriveHeaders(letter uuid.UUID, opened []byte) (map[string][]string, error) {
	header := map[string][]string{}
	if opened != nil {
		if err := json.Unmarshal(opened, &header); err != nil {
			return nil, fmt.Errorf("read the message's headers: %w", err)
		}
	}
	header[bus.HeaderLetterID] = []string{letter.String()}
	return header, nil
}
