package vomo

import (
	"errors"
	"fmt"
	"hash/fnv"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// Errors of Directory.Add and of changes.
var (
	ErrTaken   = errors.New("is taken already") // the name or the token belongs to another organisation
	ErrInvalid = errors.New("is not valid")
	ErrFull    = errors.New("no room for more")
)

const (
	maxOrganisations = 1_000
	maxUsersInAll    = 5_000_000
	maxToken         = 512 // bytes
)

var nameForm = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,62}$`)

// ValidName reports whether an organisation or a tenant may have this name.
func ValidName(name string) bool { return nameForm.MatchString(name) }

// DefaultToken returns the token of an organisation whose request names none.
func DefaultToken(name string) string { return "sandbox-" + name + "-token" }

// DefaultSeed returns the seed of an organisation whose request names none. It depends on the name, so organisations
// differ, in the same way on every run.
func DefaultSeed(base uint64, name string) uint64 {
	sum := fnv.New64a()
	_, _ = sum.Write([]byte(name)) // a hash never fails
	return base ^ sum.Sum64()
}

// Directory knows the organisations by name and by token. It may be used by many goroutines at once.
type Directory struct {
	mu      sync.RWMutex
	byName  map[string]*Organisation
	byToken map[string]*Organisation
	revoked map[string]bool // names of organisations whose token is rejected
	users   int
	changes uint64 // of this directory; the organisations count their own
}

// NewDirectory returns an empty directory.
func NewDirectory() *Directory {
	return &Directory{
		byName:  make(map[string]*Organisation),
		byToken: make(map[string]*Organisation),
		revoked: make(map[string]bool),
	}
}

// Add invents an organisation. An empty token, id form or order means the default. Errors: ErrInvalid,
// ErrTaken, ErrFull.
func (d *Directory) Add(config Config) (*Organisation, error) {
	if config.Token == "" {
		config.Token = DefaultToken(config.Name)
	}
	if config.IDs == "" {
		config.IDs = IntIDs
	}
	if config.Order == "" {
		config.Order = ByID
	}
	if err := config.check(); err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.byName[config.Name] != nil:
		return nil, fmt.Errorf("name %s: %w", config.Name, ErrTaken)
	case d.byToken[config.Token] != nil:
		return nil, fmt.Errorf("token of %s: %w", config.Name, ErrTaken)
	case len(d.byName) >= maxOrganisations || d.users+config.Users > maxUsersInAll:
		return nil, fmt.Errorf("organisation %s: %w", config.Name, ErrFull)
	}
	made := New(config)
	d.byName[config.Name], d.byToken[config.Token] = made, made
	d.users += config.Users
	d.changes++
	return made, nil
}

func (c Config) check() error {
	switch {
	case !ValidName(c.Name):
		return fmt.Errorf("name %q: %w", c.Name, ErrInvalid)
	case len(c.Token) > maxToken || strings.ContainsAny(c.Token, " \t\r\n"):
		return fmt.Errorf("token of %s: %w", c.Name, ErrInvalid)
	case c.Users < 0 || c.Users > MaxUsers:
		return fmt.Errorf("users %d (0 to %d): %w", c.Users, MaxUsers, ErrInvalid)
	case c.Imported < 0 || c.Imported > c.Users:
		return fmt.Errorf("imported %d (0 to the number of users): %w", c.Imported, ErrInvalid)
	case c.IDs != IntIDs && c.IDs != StringIDs && c.IDs != MixedIDs:
		return fmt.Errorf("ids %q (int, string, mixed): %w", c.IDs, ErrInvalid)
	case !c.Order.valid():
		return fmt.Errorf("order %q (id, newest, updated): %w", c.Order, ErrInvalid)
	}
	return nil
}

// Named returns the organisation of a name, or nil.
func (d *Directory) Named(name string) *Organisation {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.byName[name]
}

// Bearing returns the organisation of a token, or nil, and whether the token is accepted.
func (d *Directory) Bearing(token string) (found *Organisation, good bool) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	found = d.byToken[token]
	return found, found != nil && !d.revoked[found.config.Name]
}

// Revoke makes VOMO reject an organisation's token. It reports whether there is such an organisation.
func (d *Directory) Revoke(name string) bool { return d.setRevoked(name, true) }

// Restore undoes Revoke.
func (d *Directory) Restore(name string) bool { return d.setRevoked(name, false) }

func (d *Directory) setRevoked(name string, revoked bool) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.byName[name] == nil {
		return false
	}
	d.revoked[name] = revoked
	d.changes++
	return true
}

// Revoked reports whether an organisation's token is rejected.
func (d *Directory) Revoked(name string) bool {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.revoked[name]
}

// All returns the organisations by name.
func (d *Directory) All() []*Organisation {
	d.mu.RLock()
	defer d.mu.RUnlock()
	all := make([]*Organisation, 0, len(d.byName))
	for _, o := range d.byName {
		all = append(all, o)
	}
	slices.SortFunc(all, func(a, b *Organisation) int { return strings.Compare(a.config.Name, b.config.Name) })
	return all
}
