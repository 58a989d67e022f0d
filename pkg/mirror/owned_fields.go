package mirror

import (
	"slices"

	"rollcall.dev/pkg/store"
)

// ownsChanges reports whether a version differs from the mapped one only in fields that the external system owns, or in
// fields that no destination gets. The mapping then takes the version over, and nothing is written. It is
// usually the echo of a value that the external system has written to VOMO.
func (l *Lane) ownsChanges(mapped, read []byte) bool {
	if len(l.Owned) == 0 {
		return false
	}
	changed, known := changedFields(mapped, read)
	return known && len(l.notOwned(changed)) == 0
}

// notOwned returns the fields that rollcall writes to the destination.
func (l *Lane) notOwned(fields []string) []string {
	return slices.DeleteFunc(slices.Clone(fields), func(field string) bool { return slices.Contains(l.Owned, field) })
}

// sentChanges returns the fields of a written record in which the mapped version differs.
func (l *Lane) sentChanges(entry candidate) []string {
	changed, _ := changedFields(entry.previousDigests, entry.digests)
	if len(entry.record.Without) == 0 {
		return changed
	}
	return l.notOwned(changed)
}

// unwritten returns the mapping of a version for which nothing is written. The destination's id and the latest time that it
// got stay.
func unwritten(entry candidate, mapping store.Mapping) store.Mapping {
	return store.Mapping{
		VomoID: entry.vomoID, ExternalID: mapping.ExternalID, Email: entry.email, Version: entry.version, Digests: entry.digests,
		SentAt: mapping.SentAt, ReplacesNewer: entry.version.UpdatedAt.Before(mapping.Version.UpdatedAt),
	}
}
