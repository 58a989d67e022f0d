package destination

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"rollcall.dev/pkg/fault"
)

// Config is the destination in a customer's settings.
type Config struct {
	Kind  string // "rest"
	URL   string
	Token string `json:"-"` // the opened credential, "" if the destination needs none

	BatchSize int // maximum of records per request, if the destination accepts several; below 2: one by one
}

// String leaves out the token, so that a printed Config does not reveal it.
func (c Config) String() string { return fmt.Sprintf("destination %q at %q", c.Kind, c.URL) }

// GoString is String.
func (c Config) GoString() string { return c.String() }

// Factory creates a destination of one kind. It checks the URL. It may be called often: expensive parts, such as a
// pool of connections, are created once and shared by all destinations of the factory.
type Factory func(cfg Config) (Destination, error)

// Opener creates destinations by the name of their kind. The packages of the kinds import this package, so the
// program registers their factories here.
type Opener struct {
	Factories map[string]Factory // by kind
}

// Open returns the destination that cfg describes. A kind without a factory is the permanent fault
// destination_kind_unknown, whose text names the known kinds; other errors are the factory's.
func (o *Opener) Open(cfg Config) (Destination, error) {
	factory, known := o.Factories[cfg.Kind]
	if !known {
		kind := "this kind"
		if isWord(cfg.Kind) {
			kind = fmt.Sprintf("kind %q", cfg.Kind)
		}
		kinds := slices.Sorted(maps.Keys(o.Factories))
		return nil, fault.Permanent("destination_kind_unknown",
			fmt.Errorf("%s of destination is not known: use one of %s", kind, strings.Join(kinds, ", ")))
	}
	dest, err := factory(cfg)
	if err != nil {
		return nil, fmt.Errorf("open destination: %w", err)
	}
	return dest, nil
}
