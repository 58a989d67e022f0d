package crm

import (
	"iter"
	"maps"
	"slices"
	"sync"
)

// MaxRecords is how many records a tenant may hold.
const MaxRecords = 2_000_000

// Tenant is one customer's part of the CRM. It may be used by many goroutines at once.
type Tenant struct {
	name string

	mu      sync.RWMutex
	token   string // "" asks for none
	records map[string]*Stored
	byID    map[string]string // the CRM's own ids to external ids
	live    int
	counts  counts // of all records together, also of those that are gone
	changes uint64
}

// Stored is a record as the CRM keeps it.
type Stored struct {
	ID string `json:"id"`
	Record
	counts
	Deleted bool `json:"deleted"`
}

func newTenant(name string) *Tenant {
	return &Tenant{name: name, records: make(map[string]*Stored), byID: make(map[string]string)}
}

// put stores a record unless a newer one is there. Errors: *Refusal.
func (t *Tenant) put(record Record) (id string, created bool, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	stored := t.records[record.ExternalID]
	switch {
	case stored == nil && len(t.records) >= MaxRecords:
		return "", false, &Refusal{Status: 422, Code: "full", Message: "the tenant holds no more records"}
	case stored == nil:
		stored = &Stored{ID: recordID(t.name, record.ExternalID), Deleted: true}
		t.records[record.ExternalID] = stored
		t.byID[stored.ID] = record.ExternalID
		created = true
	case record.SourceUpdatedAt.Before(stored.SourceUpdatedAt):
		t.count(stored, counts{Stale: 1})
		return "", false, &Refusal{Status: 409, Code: "stale", Message: "a newer version is stored"}
	}
	written := counts{Writes: 1}
	if !stored.Deleted && record.same(stored.Record) { // one that was deleted is changed by its coming back
		written.Unchanged = 1
	}
	if stored.Deleted {
		stored.Deleted = false
		t.live++
	}
	stored.Record = record
	t.count(stored, written)
	return stored.ID, created, nil
}

// remove marks a record deleted, by its external id or the CRM's own, and reports whether it was there.
func (t *Tenant) remove(id string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if externalID, found := t.byID[id]; found {
		id = externalID
	}
	stored := t.records[id]
	if stored == nil || stored.Deleted {
		return false
	}
	stored.Deleted = true
	t.live--
	t.changes++
	return true
}

// Find returns the record of an external id, and whether there is one that is not deleted.
func (t *Tenant) Find(externalID string) (Stored, bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	stored := t.records[externalID]
	if stored == nil || stored.Deleted {
		return Stored{}, false
	}
	return *stored, true
}

// Live returns how many records there are that are not deleted.
func (t *Tenant) Live() int {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.live
}

// All yields every record, deleted ones too, sorted by external id. It does not hold writers up meanwhile.
func (t *Tenant) All() iter.Seq[Stored] {
	return func(yield func(Stored) bool) {
		t.mu.RLock()
		ids := slices.AppendSeq(make([]string, 0, len(t.records)), maps.Keys(t.records))
		t.mu.RUnlock()
		slices.Sort(ids) // outside the lock: of a large tenant it takes long
		for _, id := range ids {
			t.mu.RLock()
			stored := *t.records[id] // a record is marked, never taken out
			t.mu.RUnlock()
			if !yield(stored) {
				return
			}
		}
	}
}

// SetToken sets the bearer token that requests must carry from now on; "" asks for none.
func (t *Tenant) SetToken(token string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.token = token
	t.changes++
}
