package mirror

import (
	"context"
	"maps"

	"rollcall.dev/pkg/destination"
	"rollcall.dev/pkg/store"
)

// participationFields are what the destination gets about one user's participations. They are not part of the version: VOMO's
// updated_at stands still when a participation changes, and a user without participations must not be written for them.
type participationFields struct {
	fields *destination.Participations // nil: none are sent
	digest []byte                      // of the fields; nil if none are sent
	due    bool                        // the destination does not have them
}

// readParticipations returns the fields of users' participations, by VOMO id; none if the destination has no such fields. fresh are
// rows that the page's transaction will save.
func (l *Lane) readParticipations(ctx context.Context, vomoIDs []string, fresh map[string]store.Participations) (map[string]participationFields, error) {
	if l.Participations == nil {
		return map[string]participationFields{}, nil
	}
	rows, err := l.Store.ParticipationsOf(ctx, l.Customer, vomoIDs)
	if err != nil {
		return nil, err
	}
	maps.Copy(rows, fresh)
	found := make(map[string]participationFields, len(rows))
	for id, row := range rows {
		fields, due, err := l.Participations.Due(row)
		if err != nil {
			return nil, err
		}
		if fields != nil {
			found[id] = participationFields{fields: fields, digest: row.SummaryDigest, due: due}
		}
	}
	return found, nil
}

// addParticipations gives the candidates of a page their fields.
func (l *Lane) addParticipations(ctx context.Context, candidates []candidate, options ApplyOptions) error {
	ids := make([]string, 0, len(candidates))
	for _, entry := range candidates {
		ids = append(ids, entry.vomoID)
	}
	found, err := l.readParticipations(ctx, ids, options.Participations)
	for i := range candidates {
		entry := &candidates[i]
		entry.participations = found[entry.vomoID]
		entry.record.CustomFields.Participations = entry.participations.fields
	}
	return err
}
