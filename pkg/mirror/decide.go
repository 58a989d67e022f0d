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

// candidate is a version that the destination does not have yet.
type candidate struct {
	vomoID  string
	record  destination.Record
	version store.Version
	undated bool // VOMO shows no time of a change
	email   string
	digests []byte
	letter  *store.OpenLetter // the record's open letter, nil where it has none

	mapped        bool // the mapping knows the user
	rewrite       bool // in this very version, which is written once more
	lower         bool // the mapping has a later time
	emailBefore   string
	digestsBefore []byte
}

// badEntry is an entry that cannot be mirrored, with its open letter where it has one.
type badEntry struct {
	deadletter.Refused

	letter *store.OpenLetter
}

// decision is a page sorted into what has to be written and what not.
type decision struct {
	write      []candidate
	unreadable []badEntry
	moot       []uuid.UUID // letters to redrive of whose record a version as new stands in the destination
	behind     []badEntry  // letters to redrive of whose record an older version than theirs came
	skipped    int
	highest    time.Time
	seen       []store.SeenUser
	clocks     clocks
}

// codeBehind is of a letter that was to be redriven, and to whose version VOMO's answer does not come up.
const codeBehind = "source_behind"

// decide compares a page with what is known. A version that stands in the mapping, an older one, and one whose
// letter is open are left alone; of an id that comes twice the newest counts, of an unreadable one the readable.
func (l *Lane) decide(ctx context.Context, page vomo.Page, options ApplyOptions) (decision, error) {
	refused := l.unreadable(page)
	known, err := l.known(ctx, page, refused)
	if err != nil {
		return decision{}, err
	}
	result := decision{clocks: clocks{vomo: page.Date, own: known.Now}, seen: seen(page, refused)}
	if page.Date.IsZero() {
		result.clocks.vomo = known.Now
	}
	newest := map[string]int{}
	for _, user := range page.Users {
		record := RecordOf(user)
		version, err := VersionOf(l.HashKey, record)
		if err != nil {
			return decision{}, err
		}
		version.UpdatedAt = result.clocks.changedAt(version.UpdatedAt)
		if version.UpdatedAt.After(result.highest) {
			result.highest = version.UpdatedAt
		}
		entry := candidate{
			vomoID: user.ID, record: record, version: version, undated: user.Undated, email: storedEmail(user.Email),
			digests: digestsOf(l.HashKey, record),
		}
		if at, twice := newest[user.ID]; twice {
			result.skipped++
			if result.clocks.compare(version, result.write[at].version, time.Time{}) == newer {
				result.write[at] = entry
			}
			continue
		}
		newest[user.ID] = len(result.write)
		result.write = append(result.write, entry)
	}
	refused = slices.DeleteFunc(refused, func(bad deadletter.Refused) bool {
		// At most one letter is open for a record: an entry that comes again, readable or not, adds none.
		_, twice := newest[bad.RecordID]
		newest[bad.RecordID] = -1
		if twice {
			result.skipped++
		}
		return twice
	})
	if err := l.leaveKnown(ctx, &result, known, refused, options); err != nil {
		return decision{}, err
	}
	return result, nil
}

// known reads what is known of a page's users, and the time.
func (l *Lane) known(ctx context.Context, page vomo.Page, refused []deadletter.Refused) (store.Known, error) {
	ids := make([]string, 0, len(page.Users))
	for _, user := range page.Users {
		ids = append(ids, user.ID)
	}
	slices.Sort(ids)
	ids = slices.Compact(ids)
	records := slices.Clone(ids)
	for _, bad := range refused {
		records = append(records, bad.RecordID)
	}
	return l.Store.Known(ctx, l.Customer, deadletter.KindUser, ids, records)
}

func (l *Lane) leaveKnown( //nolint:cyclop // one rule a line, in the order in which they hold
	ctx context.Context, result *decision, known store.Known, refused []deadletter.Refused, options ApplyOptions,
) error {
	ids := make([]string, 0, len(result.write))
	for _, entry := range result.write {
		ids = append(ids, entry.vomoID)
	}
	again, err := l.writtenAgain(ctx, ids, options.RewriteBefore)
	if err != nil {
		return err
	}
	kept := result.write[:0]
	for _, entry := range result.write {
		mapping, isMapped := known.Mapped[entry.vomoID]
		letter, hasLetter := known.Letters[entry.vomoID]
		if entry.undated {
			// Without a time of its own a version is as late as what is known, so that the record itself decides.
			entry.version.UpdatedAt = slices.MaxFunc([]time.Time{
				entry.version.UpdatedAt, mapping.Version.UpdatedAt, letter.Version.UpdatedAt,
			}, time.Time.Compare)
		}
		toMapping := result.clocks.compare(entry.version, mapping.Version, mapping.SyncedAt)
		stands := isMapped && options.isKnown(toMapping, again[entry.vomoID])
		if hasLetter && options.Redrive && result.clocks.isBehind(entry.version, letter, isMapped, mapping) {
			result.behind = append(result.behind, badEntry{letter: &letter, Refused: deadletter.Refused{
				RecordID: entry.vomoID, Version: entry.version, Code: codeBehind, Retryable: true,
			}})
			continue
		}
		leftToLetter := hasLetter && !options.Redrive &&
			options.isKnown(result.clocks.compare(entry.version, letter.Version, letter.FailedAt), letter.FailedAt.Before(options.RewriteBefore))
		if leftToLetter || stands {
			result.skipped++
			if stands && hasLetter && options.Redrive {
				result.moot = append(result.moot, letter.ID)
			}
			continue
		}
		if hasLetter {
			entry.letter = &letter
		}
		entry.mapped, entry.emailBefore, entry.digestsBefore = isMapped, mapping.Email, mapping.Digests
		entry.rewrite = isMapped && toMapping == same
		entry.lower = isMapped && entry.version.UpdatedAt.Before(mapping.Version.UpdatedAt)
		// A destination may call an earlier time than the one that it got stale: what it gets never goes back.
		if !(options.NewSystem && again[entry.vomoID]) && mapping.SentAt.After(entry.record.SourceUpdatedAt) {
			entry.record.SourceUpdatedAt = mapping.SentAt.UTC()
		}
		kept = append(kept, entry)
	}
	result.write = kept
	result.leaveLetters(refused, known.Letters, options)
	return nil
}

// leaveLetters leaves unreadable entries alone that have a letter already.
func (d *decision) leaveLetters(refused []deadletter.Refused, letters map[string]store.OpenLetter, options ApplyOptions) {
	for _, bad := range refused {
		entry := badEntry{Refused: bad}
		if letter, open := letters[bad.RecordID]; open {
			if !options.Redrive && d.clocks.compare(bad.Version, letter.Version, letter.FailedAt) == same {
				d.skipped++
				continue
			}
			entry.letter = &letter
		}
		d.unreadable = append(d.unreadable, entry)
	}
}

// isBehind says whether a version in hand is older than the letter's, and the letter's is one that the destination does
// not have: VOMO may answer from a replica that lags.
func (c clocks) isBehind(inHand store.Version, letter store.OpenLetter, isMapped bool, mapped store.Mapping) bool {
	return c.compare(inHand, letter.Version, letter.FailedAt) == older &&
		!(isMapped && c.compare(letter.Version, mapped.Version, mapped.SyncedAt) != newer)
}

// isKnown says whether a version has to be left alone: the same one unless it is written again, an older one unless it
// is written again whatever VOMO shows.
func (o ApplyOptions) isKnown(toKnown relation, again bool) bool {
	switch toKnown {
	case older:
		return !again || !o.AsShown
	case same:
		return !again
	case newer:
	}
	return false
}

// writtenAgain are the users whose known version has to be written once more.
func (l *Lane) writtenAgain(ctx context.Context, ids []string, rewriteBefore time.Time) (map[string]bool, error) {
	if rewriteBefore.IsZero() {
		return map[string]bool{}, nil
	}
	return l.Store.SyncedBefore(ctx, l.Customer, ids, rewriteBefore)
}

// unreadable gives a letter to each entry of a page that could not be decoded. One without even an id is named
// by a keyed hash of what it holds: a place in the list changes whenever somebody comes or goes, and the entry
// would get another letter on each reading.
func (l *Lane) unreadable(page vomo.Page) []deadletter.Refused {
	refused := make([]deadletter.Refused, 0, len(page.Bad))
	for _, bad := range page.Bad {
		id := bad.ID
		if id == "" {
			mac := hmac.New(sha256.New, l.HashKey)
			mac.Write([]byte(bad.Key))
			id = "unreadable-" + hex.EncodeToString(mac.Sum(nil)[:12])
		}
		refused = append(refused, deadletter.Refused{
			RecordID: id, Code: "source_record_invalid", Reason: bad.Reason,
			Version: store.Version{UpdatedAt: time.Unix(0, 0).UTC(), Hash: []byte(bad.Reason)},
		})
	}
	return refused
}

// seen are a page's distinct ids, of those that could be read and of those that could not.
func seen(page vomo.Page, refused []deadletter.Refused) []store.SeenUser {
	users := make([]store.SeenUser, 0, len(page.Users)+len(refused))
	for _, user := range page.Users {
		users = append(users, store.SeenUser{ID: user.ID, CreatedAt: user.CreatedAt})
	}
	for _, bad := range refused {
		users = append(users, store.SeenUser{ID: bad.RecordID})
	}
	met := make(map[string]bool, len(users))
	return slices.DeleteFunc(users, func(user store.SeenUser) bool {
		twice := met[user.ID]
		met[user.ID] = true
		return twice
	})
}
