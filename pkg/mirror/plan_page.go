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
	letter  *store.OpenLetter // the record's open letter, or nil

	mapped          bool // the user has a mapping
	rewrite         bool // the mapping has this version, and it is written again
	lowersTime      bool // the mapping has a later time
	previousEmail   string
	previousDigests []byte
}

// failedEntry is an entry that is not written, with its open letter if it has one.
type failedEntry struct {
	deadletter.Refused

	letter *store.OpenLetter
}

// pagePlan says which records of a page are written and which are not.
type pagePlan struct {
	write      []candidate
	unreadable []failedEntry
	obsolete   []uuid.UUID   // redriven letters whose version, or a newer one, the destination already has
	staleReads []failedEntry // redriven letters for which VOMO returned an older version than the one that failed
	skipped    int
	latest     time.Time // the latest change
	seen       []store.SeenUser
	clocks     clocks
}

// codeStaleSource: VOMO returned an older version than the dead-lettered one.
const codeStaleSource = "source_behind"

// planPage compares a page with the mappings and the open letters. It skips a version that the mapping has, an older
// one, and one with an open letter. If an id occurs twice, the newest version counts, and a readable entry before an
// unreadable one.
func (l *Lane) planPage(ctx context.Context, page vomo.Page, options ApplyOptions) (pagePlan, error) {
	unreadable := l.unreadableEntries(page)
	known, err := l.readKnown(ctx, page, unreadable)
	if err != nil {
		return pagePlan{}, err
	}
	plan := pagePlan{clocks: clocks{vomo: page.Date, database: known.Now}, seen: seenUsers(page, unreadable)}
	if page.Date.IsZero() {
		plan.clocks.vomo = known.Now
	}
	planned := map[string]int{} // index in plan.write by id
	for _, user := range page.Users {
		record := RecordOf(user)
		version, err := VersionOf(l.HashKey, record)
		if err != nil {
			return pagePlan{}, err
		}
		version.UpdatedAt = plan.clocks.changedAt(version.UpdatedAt)
		if version.UpdatedAt.After(plan.latest) {
			plan.latest = version.UpdatedAt
		}
		entry := candidate{
			vomoID: user.ID, record: record, version: version, undated: user.Undated, email: normalizeEmail(user.Email),
			digests: digestsOf(l.HashKey, record),
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
	unreadable = slices.DeleteFunc(unreadable, func(entry deadletter.Refused) bool {
		// A record has at most one open letter, so a second entry with its id, readable or not, opens none.
		_, duplicate := planned[entry.RecordID]
		planned[entry.RecordID] = -1
		if duplicate {
			plan.skipped++
		}
		return duplicate
	})
	if err := l.dropUnchanged(ctx, &plan, known, options); err != nil {
		return pagePlan{}, err
	}
	plan.addUnreadable(unreadable, known.Letters, options)
	return plan, nil
}

// readKnown reads the mappings and open letters of a page's users, and the database's time.
func (l *Lane) readKnown(ctx context.Context, page vomo.Page, unreadable []deadletter.Refused) (store.Known, error) {
	ids := make([]string, 0, len(page.Users))
	for _, user := range page.Users {
		ids = append(ids, user.ID)
	}
	slices.Sort(ids)
	ids = slices.Compact(ids)
	records := slices.Clone(ids)
	for _, entry := range unreadable {
		records = append(records, entry.RecordID)
	}
	return l.Store.Known(ctx, l.Customer, deadletter.KindUser, ids, records)
}

// dropUnchanged removes the candidates that need no write, and completes the others with their mapping and letter.
func (l *Lane) dropUnchanged( //nolint:cyclop // one rule a line, in the order in which they apply
	ctx context.Context, plan *pagePlan, known store.Known, options ApplyOptions,
) error {
	rewrites, err := l.usersToRewrite(ctx, plan.write, options.RewriteBefore)
	if err != nil {
		return err
	}
	kept := plan.write[:0]
	for _, entry := range plan.write {
		mapping, isMapped := known.Mapped[entry.vomoID]
		letter, hasLetter := known.Letters[entry.vomoID]
		if entry.undated {
			// A version without a time gets the latest known time, so that only the record's content decides.
			entry.version.UpdatedAt = slices.MaxFunc([]time.Time{
				entry.version.UpdatedAt, mapping.Version.UpdatedAt, letter.Version.UpdatedAt,
			}, time.Time.Compare)
		}
		toMapping := plan.clocks.compare(entry.version, mapping.Version, mapping.SyncedAt)
		upToDate := isMapped && !options.needsWrite(toMapping, rewrites[entry.vomoID])
		if hasLetter && options.Redrive && plan.clocks.isStaleRead(entry.version, letter, isMapped, mapping) {
			plan.staleReads = append(plan.staleReads, failedEntry{letter: &letter, Refused: deadletter.Refused{
				RecordID: entry.vomoID, Version: entry.version, Code: codeStaleSource, Retryable: true,
			}})
			continue
		}
		toLetter := plan.clocks.compare(entry.version, letter.Version, letter.FailedAt)
		waitsInLetter := hasLetter && !options.Redrive && !options.needsWrite(toLetter, letter.FailedAt.Before(options.RewriteBefore))
		if waitsInLetter || upToDate {
			plan.skipped++
			if upToDate && hasLetter && options.Redrive {
				plan.obsolete = append(plan.obsolete, letter.ID)
			}
			continue
		}
		if hasLetter {
			entry.letter = &letter
		}
		entry.mapped, entry.previousEmail, entry.previousDigests = isMapped, mapping.Email, mapping.Digests
		entry.rewrite = isMapped && toMapping == same
		entry.lowersTime = isMapped && entry.version.UpdatedAt.Before(mapping.Version.UpdatedAt)
		// A destination may reject a time before the last one it got as stale, so the time sent never goes back.
		if !(options.NewSystem && rewrites[entry.vomoID]) && mapping.SentAt.After(entry.record.SourceUpdatedAt) {
			entry.record.SourceUpdatedAt = mapping.SentAt.UTC()
		}
		kept = append(kept, entry)
	}
	plan.write = kept
	return nil
}

// addUnreadable adds the unreadable entries, except those that already have a letter for the same content.
func (p *pagePlan) addUnreadable(unreadable []deadletter.Refused, letters map[string]store.OpenLetter, options ApplyOptions) {
	for _, refused := range unreadable {
		entry := failedEntry{Refused: refused}
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
func (l *Lane) unreadableEntries(page vomo.Page) []deadletter.Refused {
	entries := make([]deadletter.Refused, 0, len(page.Bad))
	for _, bad := range page.Bad {
		id := bad.ID
		if id == "" {
			mac := hmac.New(sha256.New, l.HashKey)
			mac.Write([]byte(bad.Key))
			id = "unreadable-" + hex.EncodeToString(mac.Sum(nil)[:12])
		}
		entries = append(entries, deadletter.Refused{
			RecordID: id, Code: "source_record_invalid", Reason: bad.Reason,
			Version: store.Version{UpdatedAt: time.Unix(0, 0).UTC(), Hash: []byte(bad.Reason)},
		})
	}
	return entries
}

// seenUsers returns a page's distinct ids, of readable and unreadable entries.
func seenUsers(page vomo.Page, unreadable []deadletter.Refused) []store.SeenUser {
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
