package record

import (
	"strconv"
	"strings"
	"time"

	"rollcall.dev/pkg/operatorapi"
)

// Trace returns the trace of a donation or gift, given what Virtuous answered about it.
func (g *Gift) Trace(asked Lookup) operatorapi.Trace {
	trace := operatorapi.Trace{
		FoundAs: unless("", g.FoundAs), PlatformRecordID: unless("", g.PlatformID()), VirtuousRecordID: unless(0, g.GiftID()), Lookup: lookupOf(asked),
	}
	if trace.FoundAs == nil && asked.Outcome == operatorapi.LookupFound {
		trace.VirtuousRecordID = &asked.ID
	}
	line := &timeline{}
	if g.Donation != nil {
		trace.State = &g.Donation.Status
		line.addTransaction(g.transaction())
	}
	if g.Row != nil {
		trace.HeldState, trace.SyncState = &g.Row.State, &g.Row.SyncState
		line.addIf(g.Row.DeletedAt, hopDeleted, "the gift was deleted at Virtuous")
	}
	if g.Row != nil && g.Stored != nil {
		line.addVersion(g.Row.CreatedAt, g.Stored.ReadAt, g.Stored.WebhookAt)
	}
	line.addActions(g.Actions)
	line.addDeletions(g.Deletions, "Virtuous", "it was marked as deleted here")
	line.addLetters(g.Letters)
	line.addActs(g.Acts)
	line.addDelivered(g.Delivered)
	line.addLookup(asked)
	trace.Timeline = line.sorted()
	found := g.judge(asked)
	values := valuesOf(g.Customer, operatorapi.TraceGift, g.ID, found)
	if id := g.GiftID(); id != 0 {
		values["gift"] = strconv.FormatInt(id, 10)
	}
	if letter := g.openLetter(); letter != nil {
		values["letter"] = letter.ID.String()
	}
	if g.Letter != nil && found.cause == WebhookLetter {
		values["letter"] = g.Letter.String()
	}
	// Commands about a donation take the platform's id.
	if g.Donation != nil && stateOf(found.cause) != operatorapi.CauseOK && !isFixable(found.cause) {
		values["id"] = quoted(g.Donation.PlatformID)
	}
	trace.Cause = Explain(found.cause, values)
	return trace
}

func isFixable(cause Cause) bool { return table()[cause].fixable }

// valuesOf returns what the words of a cause may need, except for what only its kind has.
func valuesOf(customer Customer, kind, id string, found judged) map[string]string {
	imports := ""
	if customer.Giving != nil && customer.Giving.ImportsURL != "" {
		imports = " (" + customer.Giving.ImportsURL + ")"
	}
	return map[string]string{
		"customer": customer.ID, "kind": kind, "record": donationKind().record, "id": quoted(id), "why": found.why, "imports": imports,
		"gift": "", "contact": "", "letter": "", "run": "",
	}
}

// quoted returns an id as it is written on a command line.
func quoted(id string) string {
	for _, r := range id {
		switch {
		case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9', r == '-', r == '_', r == '.', r == ':', r == '/', r == '@', r == '+', r == '=':
		default:
			return "'" + strings.ReplaceAll(id, "'", `'\''`) + "'"
		}
	}
	return id
}

func lookupOf(asked Lookup) *operatorapi.TraceLookup {
	changed := asked.Changed
	if changed == nil {
		changed = []string{}
	}
	return &operatorapi.TraceLookup{Outcome: asked.Outcome, Reason: unless("", asked.Reason), ChangedFields: changed, At: momentOf(asked)}
}

func momentOf(asked Lookup) *time.Time {
	if asked.At.IsZero() {
		return nil
	}
	return &asked.At
}
