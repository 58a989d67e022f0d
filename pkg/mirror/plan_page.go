package mirror

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"time"

	"github.com/google/uuid"

	"rollcall.dev/pkg/deadletter"
	"rollcall.dev/pkg/destination"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/vomo"
)

// candidate is a version to write: the destination does not have it, or gets it again.
type candidate struct {
	vomoID  string
	record  destination.Record
	version store.Version
	undated bool // VOMO returned no updated_at
	email   string
	digests []byte

	participations participationFields // of the record

	letter  *store.OpenLetter // the record's open letter, or nil
	deletes string            // the destination's id of a record that is deleted; "": the record is written

	mapped          bool // the user has a mapping
	blank           bool // the mapping is blank: the previous address and digests are not known
	rewrite         bool // the mapping has this version, and it is written again
	lowersTime      bool // the mapping has a later time
	previousEmail   string
	previousDigests []byte
}

// failedEntry is an entry that is not written, with its open letter if it has one.
type failedEntry struct {
	deadletter.Rejection

	letter *store.OpenLetter
}

// pagePlan says which records of a page are written and which are not.
type pagePlan struct {
	write      []candidate
	adopted    []candidate // blank mappings whose version this is: nothing is written to the destination
	unreadable []failedEntry
	obsolete   []uuid.UUID     // redriven letters whose version, or a newer one, the destination already has
	staleReads []failedEntry   // redriven letters for which VOMO returned an older version than the one that failed
	ownedOnly  []store.Mapping // versions that the mapping takes over without a write, because the external system owns the changes
	skipped    int
	latest     time.Time // the latest change
	seen       []SeenPage
	clocks     clocks
}

// codeStaleSource: VOMO returned an older version than the dead-lettered one.
const codeStaleSource = "source_behind"

// planPage compares a page with the mappings and the open letters. It skips a version that the mapping has, an older
// one, and one with an open letter. If an id occurs twice, the newest version counts, and a readable entry before an
// unreadable one.
func (l *Lane) planPage(ctx context.Context, page vomo.Page, seen []SeenPage, options ApplyOptions) (pagePlan, error) {
	unreadable := l.unreadableEntries(page)
	known, err := l.readKnown(ctx, page, seen, options)
	if err != nil {
		return pagePlan{}, err
	}
	plan := pagePlan{clocks: clocks{vomo: page.Date, database: known.Now}, seen: seen}
	if options.Scan != 0 {
		countNew(seen, known.Seen)
	}
	if page.Date.IsZero() {
		plan.clocks.vomo = known.Now
	}
	keyed := hmac.New(sha256.New, l.HashKey)
	planned := map[string]int{} // index in plan.write by id
	for _, user := range page.Users {
		record := RecordOf(user)
		version, err := versionOf(keyed, record)
		if err != nil {
			return pagePlan{}, err
		}
		version.UpdatedAt = plan.clocks.changedAt(version.UpdatedAt)
		if version.UpdatedAt.After(plan.latest) {
			plan.latest = version.UpdatedAt
		}
		entry := candidate{
			vomoID: user.ID, record: record, version: version, undated: user.Undated, email: normalizeEmail(user.Email),
			digests: digestsOf(keyed, record),
		}
		if index, duplicate := planned[user.ID]; duplicate {
			plan.skipped++
			if plan.clocks.compare(version, plan.write[index].version, time.Time{}) == newer {
				plan.write[index] = entry
			}
			continue
		}
		planned[user.ID] = len(plan.write)
		plan.write = append(plan.write, entry)
	}
	unreadable = slices.DeleteFunc(unreadable, func(entry deadletter.Rejection) bool {
		// A record has at most one open letter, so a second entry with its id, readable or not, opens none.
		_, duplicate := planned[entry.RecordID]
		planned[entry.RecordID] = -1
		if duplicate {
			plan.skipped++
		}
		return duplicate
	})
	if err := l.addParticipations(ctx, plan.write, options); err != nil {
		return pagePlan{}, err
	}
	if err := l.dropUnchanged(ctx, &plan, known, options); err != nil {
		return pagePlan{}, err
	}
	if options.AdoptOnly {
		plan.write = nil
		return plan, nil
	}
	plan.addUnreadable(unreadable, known.Letters, options)
	return plan, nil
}

// readKnown reads the mappings and open letters of a page's users, how many of them the scan has seen, and the database's time.
func (l *Lane) readKnown(ctx context.Context, page vomo.Page, seen []SeenPage, options ApplyOptions) (store.StoredVersions, error) {
	asked := store.VersionsAsked{Customer: l.Customer, Scan: options.Scan}
	for _, each := range seen {
		for _, user := range each.Users {
			asked.IDs = append(asked.IDs, user.ID)
		}
	}
	if len(asked.IDs) == 0 && !page.Date.IsZero() {
		return store.StoredVersions{}, nil
	}
	if !l.NoLetters || l.letterOpened.Load() {
		asked.Letters = deadletter.KindUser
	}
	return l.Store.StoredVersions(ctx, asked)
}

// dropUnchanged removes the candidates that need no write, and completes the others with their mapping and letter.
func (l *Lane) dropUnchanged( //nolint:cyclop // one rule a line, in the order in which they apply
	ctx context.Context, plan *pagePlan, known store.StoredVersions, options ApplyOptions,
) error {
	rewrites, err := l.usersToRewrite(ctx, plan.write, options.RewriteBefore)
	if err != nil {
		return err
	}
	kept := plan.write[:0]
	for _, entry := range plan.write {
		mapping, isMapped := known.Mappings[entry.vomoID]
		letter, hasLetter := known.Letters[entry.vomoID]
		if entry.undated {
			// A version without a time gets the latest known time, so that only the record's content decides.
			entry.version.UpdatedAt = slices.MaxFunc([]time.Time{
				entry.version.UpdatedAt, mapping.Version.UpdatedAt, letter.Version.UpdatedAt,
			}, time.Time.Compare)
		}
		toMapping := plan.toMapping(entry, mapping)
		upToDate := isMapped && !options.needsWrite(toMapping, rewrites[entry.vomoID] || entry.participations.due && toMapping == same)
		if hasLetter && options.Redrive && plan.clocks.isStaleRead(entry.version, letter, isMapped, mapping) {
			plan.staleReads = append(plan.staleReads, failedEntry{letter: &letter, Rejection: deadletter.Rejection{
				RecordID: entry.vomoID, Version: entry.version, Code: codeStaleSource, Retryable: true,
			}})
			continue
		}
		toLetter := plan.clocks.compare(entry.version, letter.Version, letter.FailedAt)
		waitsInLetter := hasLetter && !options.Redrive && !options.needsWrite(toLetter, letter.FailedAt.Before(options.RewriteBefore))
		if waitsInLetter || upToDate {
			plan.skip(entry, mapping, toMapping)
			if upToDate && hasLetter && options.Redrive {
				plan.obsolete = append(plan.obsolete, letter.ID)
			}
			continue
		}
		if isMapped && !hasLetter && l.takesOver(entry, mapping, toMapping, options) && !rewrites[entry.vomoID] {
			plan.ownedOnly = append(plan.ownedOnly, unwritten(entry, mapping))
			plan.skipped++
			continue
		}
		if hasLetter {
			entry.letter = &letter
		}
		if isMapped {
			l.addMapping(&entry, mapping, toMapping, options.NewSystem, rewrites[entry.vomoID])
		}
		kept = append(kept, entry)
	}
	plan.write = kept
	return nil
}

// takesOver reports whether the mapping takes a version over that differs only in fields that the external system owns. Fields of
// participations that the destination lacks are written.
func (l *Lane) takesOver(entry candidate, mapping store.Mapping, toMapping relation, options ApplyOptions) bool {
	return toMapping == newer && !options.RewriteOwed && !entry.participations.due && l.ownsChanges(mapping.Digests, entry.digests)
}

// addMapping completes a candidate with its mapping.
func (l *Lane) addMapping(entry *candidate, mapping store.Mapping, toMapping relation, newSystem, rewrite bool) {
	if !newSystem {
		entry.record.Without = l.Owned
	}
	entry.mapped, entry.blank, entry.previousEmail, entry.previousDigests = true, mapping.IsBlank(), mapping.Email, mapping.Digests
	entry.rewrite = toMapping == same
	entry.lowersTime = entry.version.UpdatedAt.Before(mapping.Version.UpdatedAt)
	// A destination may reject a time before the last one it got as stale, so the time sent never goes back.
	if !(newSystem && rewrite) && mapping.SentAt.After(entry.record.SourceUpdatedAt) {
		entry.record.SourceUpdatedAt = mapping.SentAt.UTC()
	}
}

// toMapping returns the relation of a version to the mapped one.
func (p *pagePlan) toMapping(entry candidate, mapping store.Mapping) relation {
	if entry.isVersionOf(mapping) {
		return same
	}
	return p.clocks.compare(entry.version, mapping.Version, mapping.SyncedAt)
}

// skip counts a candidate that is not written. A blank mapping adopts its version.
func (p *pagePlan) skip(entry candidate, mapping store.Mapping, toMapping relation) {
	p.skipped++
	if toMapping == same && mapping.IsBlank() {
		p.adopted = append(p.adopted, entry)
	}
}

// isVersionOf reports whether a blank mapping has this version, by its time, which is all that is known of it. A record without a time of
// its own shows no version.
func (c candidate) isVersionOf(mapping store.Mapping) bool {
	return mapping.IsBlank() && !c.undated && c.version.UpdatedAt.Equal(mapping.Version.UpdatedAt)
}

// addUnreadable adds the unreadable entries, except those that already have a letter for the same content.
func (p *pagePlan) addUnreadable(unreadable []deadletter.Rejection, letters map[string]store.OpenLetter, options ApplyOptions) {
	for _, refused := range unreadable {
		entry := failedEntry{Rejection: refused}
		if letter, open := letters[refused.RecordID]; open {
			if !options.Redrive && p.clocks.compare(refused.Version, letter.Version, letter.FailedAt) == same {
				p.skipped++
				continue
			}
			entry.letter = &letter
		}
		p.unreadable = append(p.unreadable, entry)
	}
}

// isStaleRead reports whether VOMO returned an older version than the letter's while the destination does not have the
// letter's version yet: VOMO may answer from a replica that lags.
func (c clocks) isStaleRead(read store.Version, letter store.OpenLetter, isMapped bool, mapping store.Mapping) bool {
	return c.compare(read, letter.Version, letter.FailedAt) == older &&
		!(isMapped && c.compare(letter.Version, mapping.Version, mapping.SyncedAt) != newer)
}

// needsWrite reports whether a version has to be written, given its relation to the stored version. A newer one is
// always written, the same one only in a rewrite, an older one only in a rewrite that allows it.
func (o ApplyOptions) needsWrite(toStored relation, rewrite bool) bool {
	switch toStored {
	case older:
		return rewrite && o.AllowOlder
	case same:
		return rewrite
	case newer:
	}
	return true
}

// usersToRewrite returns the users whose mapped version has to be written again.
func (l *Lane) usersToRewrite(ctx context.Context, candidates []candidate, rewriteBefore time.Time) (map[string]bool, error) {
	if rewriteBefore.IsZero() {
		return map[string]bool{}, nil
	}
	ids := make([]string, 0, len(candidates))
	for _, entry := range candidates {
		ids = append(ids, entry.vomoID)
	}
	return l.Store.SyncedBefore(ctx, l.Customer, ids, rewriteBefore)
}

// unreadableEntries returns the entries of a page that could not be decoded. An entry without an id gets one from a keyed
// hash of its content: its place in the list changes when other users are added or deleted, and an id made from the place
// would open another letter each time the page is read.
func (l *Lane) unreadableEntries(page vomo.Page) []deadletter.Rejection {
	entries := make([]deadletter.Rejection, 0, len(page.Bad))
	for _, bad := range page.Bad {
		id := bad.ID
		if id == "" {
			mac := hmac.New(sha256.New, l.HashKey)
			mac.Write([]byte(bad.Key))
			id = "unreadable-" + hex.EncodeToString(mac.Sum(nil)[:12])
		}
		entries = append(entries, deadletter.Rejection{
			RecordID: id, Code: "source_record_invalid", Reason: bad.Reason,
			Version: store.Version{UpdatedAt: time.Unix(0, 0).UTC(), Hash: []byte(bad.Reason)},
		})
	}
	return entries
}

// seenOf returns the users of each page.
func (l *Lane) seenOf(pages []vomo.Page) []SeenPage {
	seen := make([]SeenPage, len(pages))
	for i, page := range pages {
		seen[i].Users = seenUsers(page, l.unreadableEntries(page))
	}
	return seen
}

// countNew counts the users of each page that are not in before, each once.
func countNew(seen []SeenPage, before map[string]bool) {
	counted := map[string]bool{}
	for i := range seen {
		for _, user := range seen[i].Users {
			if !before[user.ID] && !counted[user.ID] {
				seen[i].New++
			}
			counted[user.ID] = true
		}
	}
}

// seenUsers returns a page's distinct ids, of readable and unreadable entries.
func seenUsers(page vomo.Page, unreadable []deadletter.Rejection) []store.SeenUser {
	users := make([]store.SeenUser, 0, len(page.Users)+len(unreadable))
	for _, user := range page.Users {
		users = append(users, store.SeenUser{ID: user.ID, CreatedAt: user.CreatedAt})
	}
	for _, entry := range unreadable {
		users = append(users, store.SeenUser{ID: entry.RecordID})
	}
	listed := make(map[string]bool, len(users))
	return slices.DeleteFunc(users, func(user store.SeenUser) bool {
		duplicate := listed[user.ID]
		listed[user.ID] = true
		return duplicate
	})
}
