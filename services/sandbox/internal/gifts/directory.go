package gifts

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"rollcall.dev/services/sandbox/internal/vomo"
)

const (
	maxOrganisations = 1_000
	maxKey           = 1_024 // bytes
	firstID          = int64(4_001)
)

// Config is what an organisation is made from.
type Config struct {
	Name     string
	Key      string // "": DefaultKey
	Seed     uint64
	Settings Settings
}

// DefaultKey returns the API key of an organisation whose request names none.
func DefaultKey(name string) string { return "v_sandbox-" + name + "-key" }

// Directory knows the organisations by name and by key. It may be used by many goroutines at once.
type Directory struct {
	mu      sync.RWMutex
	byName  map[string]*Organisation
	byKey   map[string]*Organisation
	nextID  int64
	changes uint64
}

// NewDirectory returns an empty directory.
func NewDirectory() *Directory {
	return &Directory{byName: make(map[string]*Organisation), byKey: make(map[string]*Organisation), nextID: firstID}
}

// Add makes an organisation. Errors: ErrInvalid, ErrTaken, ErrFull.
func (d *Directory) Add(config Config, now time.Time) (*Organisation, error) {
	config.Key = cmp.Or(config.Key, DefaultKey(config.Name))
	if !vomo.ValidName(config.Name) || len(config.Key) > maxKey {
		return nil, fmt.Errorf("name or key of organisation %s: %w", strconv.Quote(config.Name), ErrInvalid)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.keep(firstState(config, d.nextID, now))
}

// keep stores an organisation. Errors: as Add's.
func (d *Directory) keep(s Snapshot) (*Organisation, error) {
	switch {
	case d.byName[s.Name] != nil:
		return nil, fmt.Errorf("name %s: %w", s.Name, ErrTaken)
	case d.byKey[s.Key] != nil:
		return nil, fmt.Errorf("key of %s: %w", s.Name, ErrTaken)
	case len(d.byName) >= maxOrganisations:
		return nil, fmt.Errorf("organisation %s: %w", s.Name, ErrFull)
	}
	made, err := newOrganisation(s)
	if err != nil {
		return nil, fmt.Errorf("organisation %s: %w", s.Name, err)
	}
	d.byName[s.Name], d.byKey[s.Key] = made, made
	d.nextID = max(d.nextID, s.ID+1)
	d.changes++
	return made, nil
}

// Named returns the organisation with a name, or nil.
func (d *Directory) Named(name string) *Organisation {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.byName[name]
}

// Bearing returns the organisation of a key, or nil.
func (d *Directory) Bearing(key string) *Organisation {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.byKey[key]
}

// All returns the organisations, by name.
func (d *Directory) All() []*Organisation {
	d.mu.RLock()
	defer d.mu.RUnlock()
	names := make([]string, 0, len(d.byName))
	for name := range d.byName {
		names = append(names, name)
	}
	slices.Sort(names)
	all := make([]*Organisation, 0, len(names))
	for _, name := range names {
		all = append(all, d.byName[name])
	}
	return all
}

// SetKey changes an organisation's key, or only whether it is accepted. An empty word changes nothing. Errors: ErrTaken, ErrInvalid.
func (d *Directory) SetKey(o *Organisation, key, state string) error {
	if len(key) > maxKey || !slices.Contains([]string{"", KeyGood, KeyRevoked, KeyForbidden}, state) {
		return fmt.Errorf("key or its state: %w", ErrInvalid)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if owner := d.byKey[key]; key != "" && owner != nil && owner != o {
		return fmt.Errorf("key: %w", ErrTaken)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if key != "" {
		delete(d.byKey, o.s.Key)
		o.s.Key = key
		d.byKey[key] = o
	}
	o.s.KeyState = cmp.Or(state, o.s.KeyState)
	o.changes++
	return nil
}

// Advance makes everything happen that is due by now, in all organisations.
func (d *Directory) Advance(now time.Time) {
	for _, o := range d.All() {
		o.Advance(now)
	}
}

// Snapshot returns the organisations, by name.
func (d *Directory) Snapshot() []Snapshot {
	snapshots := []Snapshot{}
	for _, o := range d.All() {
		snapshots = append(snapshots, o.snapshot())
	}
	return snapshots
}

// Load adds organisations as they were when the snapshots were made. Errors: as Add's.
func (d *Directory) Load(snapshots []Snapshot) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, s := range snapshots {
		if !vomo.ValidName(s.Name) || len(s.Projects) == 0 {
			return fmt.Errorf("organisation %s: %w", strconv.Quote(s.Name), ErrInvalid)
		}
		if _, err := d.keep(s); err != nil {
			return err
		}
	}
	return nil
}

// Changes returns a number that rises with every change.
func (d *Directory) Changes() uint64 {
	d.mu.RLock()
	changes := d.changes
	d.mu.RUnlock()
	for _, o := range d.All() {
		o.mu.RLock()
		changes += o.changes
		o.mu.RUnlock()
	}
	return changes
}
