package deadletter

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/google/uuid"

	"rollcall.dev/pkg/bus"
)

// controlPrefix begins the names of headers that are instructions to the server, or the server's own: a message id, what
// the publisher expected of the stream at that time, where the message was stored.
const controlPrefix = "Nats-"

// sealHeaders seals a message's headers without NATS's own. A message without headers of its own has null.
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

// RedriveHeaders returns the headers of a message that is published again out of a letter: the message's own, as opened
// from the letter (nil if the letter has none), and the letter's id. If the message fails again, its letter goes on with
// the attempts of this one. Anybody may write that header: OpenStored believes it only of a letter that was redriven, and
// of the same customer.
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
