package dailyreport

import (
	"time"

	"rollcall.dev/pkg/store"
)

// Contacts are the figures of the platform's contacts on their way into Virtuous, with the limits of those of donations.
type Contacts struct {
	Pending       Aged        `json:"pending"`
	SubmittedLate Aged        `json:"submittedLate"`
	NeedsReview   NeedsReview `json:"needsReview"`
	Failed        Count       `json:"failed"`
}

func (r Reporter) contacts(f store.ContactFigures, at time.Time) *Contacts {
	l := r.Limits
	contacts := &Contacts{
		Pending: Aged{OldestAgeSeconds: age(f.PendingSince, at), Count: Count{Value: f.Pending, Verdict: Verdict{
			Healthy: "none older than " + hours(l.Pending.Look), State: OK,
			Remedy: "See why contacts wait: rollcall status <customer>, and rollcall contact ls <customer> --status pending.",
		}}},
		SubmittedLate: Aged{OldestAgeSeconds: age(f.LateSince, at), Count: counted(f.SubmittedLate, l.SubmittedLate,
			"Ask the customer's staff whether they ran this morning's import in Virtuous. Look up the contacts: rollcall reconcile now <customer> --category stuck.")},
		NeedsReview: NeedsReview{
			Count: counted(f.ImportNotRun+f.MatchNeeded, l.NeedsReview,
				"Ask the customer's staff to run the import, and to find a match for each: rollcall contact ls <customer> --status needs_review."),
			ByReason: ByReason{ImportNotRun: f.ImportNotRun, MatchNeeded: f.MatchNeeded},
		},
		Failed: counted(f.Failed, l.Failed,
			"See what Virtuous rejects: rollcall contact ls <customer> --status failed. Then rollcall contact retry or close."),
	}
	if seconds := contacts.Pending.OldestAgeSeconds; seconds != nil {
		contacts.Pending.State = l.Pending.state(float64(*seconds))
	}
	return contacts
}

// verdicts returns what each figure means; none of a report without contacts, as those of earlier versions are.
func (c *Contacts) verdicts() []Verdict {
	if c == nil {
		return nil
	}
	return []Verdict{c.Pending.Verdict, c.SubmittedLate.Verdict, c.NeedsReview.Verdict, c.Failed.Verdict}
}
