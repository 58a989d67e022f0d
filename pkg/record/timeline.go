package record

import (
	"cmp"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"

	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/store"
)

// Hops of a timeline.
const (
	hopPublished      = "published"
	hopCaptured       = "captured"
	hopAttempt        = "attempt"
	hopSubmitted      = "submitted"
	hopLookup         = "lookup"
	hopReview         = "review"
	hopWebhook        = "webhook"
	hopRead           = "read"
	hopStored         = "stored"
	hopReconciliation = "reconciliation"
	hopConfirmed      = "confirmed"
	hopFailed         = "failed"
	hopClosed         = "closed"
	hopDeleted        = "deleted"
	hopLetter         = "letter"
	hopDecision       = "decision"
	hopAudit          = "audit"
	hopWriteback      = "writeback"
	hopReference      = "reference"
	hopComparison     = "comparison"
)

// timeline collects hops in any order.
type timeline struct{ hops []operatorapi.TraceHop }

func (t *timeline) add(at time.Time, hop, text string) *operatorapi.TraceHop {
	t.hops = append(t.hops, operatorapi.TraceHop{At: at, Hop: hop, Text: text})
	return &t.hops[len(t.hops)-1]
}

// addIf adds a hop whose time is known.
func (t *timeline) addIf(at *time.Time, hop, text string) {
	if at != nil && !at.IsZero() {
		t.add(*at, hop, text)
	}
}

// sorted returns the hops, the oldest first.
func (t *timeline) sorted() []operatorapi.TraceHop {
	slices.SortStableFunc(t.hops, func(a, b operatorapi.TraceHop) int { return a.At.Compare(b.At) })
	if t.hops == nil {
		return []operatorapi.TraceHop{}
	}
	return t.hops
}

// unless returns nil for a value that stands for none.
func unless[Value comparable](none, value Value) *Value {
	if value == none {
		return nil
	}
	return &value
}

func (t *timeline) addLookup(asked Lookup) {
	switch asked.Outcome {
	case operatorapi.LookupFound:
		text := "Virtuous has it as " + strconv.FormatInt(asked.ID, 10)
		if len(asked.Changed) > 0 {
			text += ", with other values in " + strings.Join(asked.Changed, ", ")
		}
		t.add(asked.At, hopLookup, text+" (just now)")
	case operatorapi.LookupNotFound:
		t.add(asked.At, hopLookup, "Virtuous does not have it (just now)").Status = new(404)
	case operatorapi.LookupUnclear:
		t.add(asked.At, hopLookup, "Virtuous did not say (just now)").Code = unless("", asked.Reason)
	}
}

// addTransaction adds what happened to a donation, or a contact of the platform, on its way into Virtuous.
func (t *timeline) addTransaction(of transaction) {
	t.add(of.createdAt, hopCaptured, "the "+of.record+" was captured")
	for _, attempt := range of.attempts {
		hop := t.add(attempt.At, hopAttempt, attemptWords(attempt.Verdict))
		hop.Status, hop.Code, hop.RequestID = unless(0, attempt.Status), unless("", attempt.Error), unless("", attempt.RequestID)
	}
	t.addIf(of.attemptStartedAt, hopAttempt, "an attempt began whose answer is not recorded")
	t.addIf(of.submittedAt, hopSubmitted, "Virtuous accepted it; the time is that of the first attempt that it may have accepted")
	t.addIf(of.lookedUpAt, hopLookup, "Virtuous had no "+of.result+" of it")
	switch of.status {
	case store.DonationNeedsReview:
		t.add(of.statusAt, hopReview, "it needs review").Code = unless("", of.reviewReason)
	case store.DonationFailed:
		t.add(of.statusAt, hopFailed, "Virtuous rejected it, or it was not sent").Code = unless("", of.lastError)
	case store.DonationClosed:
		t.add(of.statusAt, hopClosed, "it was closed: "+of.closeReason)
	}
	t.addIf(of.confirmedAt, hopConfirmed, of.seen+pathWords(of.recoveryPath))
}

// attemptWords says how an attempt ended.
func attemptWords(verdict string) string {
	said := map[string]string{
		"accepted": "sent: Virtuous accepted it", "repeated": "sent: Virtuous has it already", "unclear": "sent: the answer does not say whether it was accepted",
		"throttled": "sent: Virtuous asked for a slower pace", "unauthorized": "sent: Virtuous rejected the API key",
		"forbidden": "sent: Virtuous does not allow it", "refused": "sent: Virtuous rejected it", "unsent": "not sent",
		"no_answer": "sent: no answer was recorded", "postponed": "put off: something had to be read first, and could not be",
		"not_sent": "not sent: it is not valid",
	}[verdict]
	return cmp.Or(said, verdict)
}

// pathWords says how a gift or contact was found.
func pathWords(path string) string {
	said := map[string]string{
		"": "by a webhook", "reconciliation_lookup": "by a lookup of a reconciliation", "reconciliation_query": "by a query of a reconciliation",
		"submission_lookup": "by a lookup before another attempt", "operator_lookup": "by an operator's lookup",
		"known_reference": "before this version was captured: nothing was sent",
	}[path]
	return cmp.Or(said, path)
}

// addVersion adds when a gift or contact was stored, and how its present version came.
func (t *timeline) addVersion(createdAt, readAt, webhookAt time.Time) {
	t.add(createdAt, hopStored, "it was stored here for the first time")
	t.addIf(&readAt, hopRead, "this version was read from Virtuous")
	t.addIf(&webhookAt, hopWebhook, "the last webhook about it was received")
}

func (t *timeline) addActions(actions []store.ReconciliationAction) {
	for _, action := range actions {
		text := "reconciliation " + action.Category + ": " + action.Resolution
		var details struct {
			Reason string `json:"reason"`
			By     string `json:"by"`
		}
		if json.Unmarshal(action.Details, &details) == nil && details.Reason != "" {
			text += " (" + details.Reason + ")"
		}
		hop := t.add(action.RunAt, hopReconciliation, text)
		hop.Code, hop.By = &action.Resolution, unless("", details.By)
	}
}

// addDeletions adds the searches for deleted records in which it was missing.
func (t *timeline) addDeletions(searches []store.TracedDeletion, source, deleted string) {
	for _, missing := range searches {
		run := strconv.FormatInt(missing.Run, 10)
		t.add(missing.NotedAt, hopDeleted, "search "+run+" (now "+missing.RunState+") did not see it: "+missing.State).Code = unless("", missing.Code)
		t.addIf(missing.AskedAt, hopLookup, "search "+run+" asked "+source+" for it by its id")
		t.addIf(missing.DeletedAt, hopDeleted, deleted)
	}
}

func (t *timeline) addLetters(letters []store.TracedLetter) {
	for _, letter := range letters {
		text := "letter " + letter.ID.String() + " of kind " + letter.Kind + " was opened"
		if letter.Reason != "" {
			text += ": " + letter.Reason
		}
		t.add(letter.FirstFailedAt, hopLetter, text).Code = &letter.ErrorCode
		if letter.SettledAt != nil {
			t.add(*letter.SettledAt, hopLetter, "letter "+letter.ID.String()+" was settled: "+letter.SettledHow)
		}
	}
}

func (t *timeline) addActs(acts []store.Act) {
	for _, act := range acts {
		hop := t.add(act.At, hopDecision, act.Verb+": "+act.Outcome)
		hop.Code, hop.By = unless("", act.Code), unless("", act.Operator)
	}
}

func (t *timeline) addDelivered(d Delivered) {
	t.addIf(d.WaitsSince, hopWebhook, "a webhook about it was received, and is not applied yet")
	if d.Letter != nil {
		t.add(d.LetterAt, hopLetter, "letter "+d.Letter.String()+" of a webhook about it was opened").Code = &d.LetterCode
	}
}
