package crm

import (
	"cmp"
	"slices"
)

// counts are what came for a record, or for all of a tenant's, since the last reset of the report.
type counts struct {
	Writes    int `json:"writes"`          // times it was stored
	Unchanged int `json:"unchangedWrites"` // of these, times that the same stood there already
	Stale     int `json:"staleWrites"`     // times that it was refused because a newer version stood there
}

func (c counts) plus(d counts) counts {
	return counts{Writes: c.Writes + d.Writes, Unchanged: c.Unchanged + d.Unchanged, Stale: c.Stale + d.Stale}
}

func (c counts) possible() bool {
	return c.Unchanged >= 0 && c.Writes >= c.Unchanged && c.Stale >= 0
}

// count adds what came for a record.
func (t *Tenant) count(stored *Stored, came counts) {
	stored.counts = stored.plus(came)
	t.counts = t.counts.plus(came)
	t.changes++
}

// Writes is what a tenant's records have been through since the last reset.
type Writes struct {
	Records int `json:"records"` // not deleted
	counts
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
	report := Writes{Records: t.live, counts: t.counts, WrittenAgain: []RecordTimes{}}
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
	t.counts = counts{}
	t.changes++
	for _, stored := range t.records {
		stored.counts = counts{}
	}
}
