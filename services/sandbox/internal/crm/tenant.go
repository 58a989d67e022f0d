package crm

import (
	"cmp"
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
	writes  int // since the last reset, also of records that are gone
	changes uint64
}

// Stored is a record as the CRM keeps it.
type Stored struct {
	ID string `json:"id"`
	Record
	Writes  int  `json:"writes"` // times it was stored since the last reset of the report
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
		return "", false, &Refusal{Status: 409, Code: "stale", Message: "a newer version is stored"}
	}
	if stored.Deleted {
		stored.Deleted = false
		t.live++
	}
	stored.Record = record
	stored.Writes++
	t.writes++
	t.changes++
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

// Writes is what a tenant's records have been through since the last reset.
type Writes struct {
	Records            int           `json:"records"` // not deleted
	Writes             int           `json:"writes"`
	MaxWritesPerRecord int           `json:"maxWritesPerRecord"`
	WrittenAgain       []RecordTimes `json:"writtenAgain"` // at most 100, the most often written
}

// RecordTimes says how often a record was written.
type RecordTimes struct {
	ExternalID string `json:"externalId"`
	Times      int    `json:"times"`
}

func (t *Tenant) report() Writes {
	t.mu.RLock()
	defer t.mu.RUnlock()
	report := Writes{Records: t.live, Writes: t.writes, WrittenAgain: []RecordTimes{}}
	for externalID, stored := range t.records {
		report.MaxWritesPerRecord = max(report.MaxWritesPerRecord, stored.Writes)
		if stored.Writes > 1 {
			report.WrittenAgain = append(report.WrittenAgain, RecordTimes{ExternalID: externalID, Times: stored.Writes})
		}
	}
	slices.SortFunc(report.WrittenAgain, func(a, b RecordTimes) int {
		return cmp.Or(cmp.Compare(b.Times, a.Times), cmp.Compare(a.ExternalID, b.ExternalID))
	})
	report.WrittenAgain = report.WrittenAgain[:min(100, len(report.WrittenAgain))]
	return report
}

func (t *Tenant) reset() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.writes = 0
	t.changes++
	for _, stored := range t.records {
		stored.Writes = 0
	}
}
