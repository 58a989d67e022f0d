package pages

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"

	"rollcall.dev/pkg/giving/dailyreport"
	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/operatorclient"
	"rollcall.dev/pkg/report"
	"rollcall.dev/pkg/store"
	"rollcall.dev/services/console/internal/access"
)

const (
	// partTimeout is how long a customer's page waits for a part that a service answers. The rest of the page is there without it.
	partTimeout = 1500 * time.Millisecond
	// inShortList is how many rows a part of a customer's page has; the whole list is behind its link.
	inShortList = 5
	// gapDays is how many days of reconciliations a customer's page shows.
	gapDays = 30
)

// customerView is what a customer's page shows.
type customerView struct {
	Who     access.Principal
	Status  report.Status
	State   state
	Gaps    []store.Reconciliation // of the last days, the oldest first
	People  []store.DailyCount     // of the last days, the oldest first
	Changes []store.Change         // the newest first
	Held    part[[]operatorapi.DeletionRun]
	Review  part[[]operatorapi.ReviewItem]
	Report  *dailyreport.Report // nil without giving
	Reports []string            // days of the last stored reports of giving, the newest first
	App     virtuousApp
	Letter  []operatorapi.Letter
}

// part is what a service answers for a part of a page, or why it did not.
type part[Content any] struct {
	Content Content
	Problem string
}

// customer is the page of one customer.
func (s *Site) customer(r *http.Request, who access.Principal) (Page, error) {
	id, err := onlyFor(r, who)
	if err != nil {
		return Page{}, err
	}
	shown := customerView{Who: who, App: virtuousApp(s.Settings.VirtuousAppURL)}
	group, ctx := errgroup.WithContext(r.Context())
	group.Go(func() (err error) {
		shown.Status, err = report.StatusUnder(ctx, s.Store, id, s.installation())
		return err
	})
	group.Go(func() (err error) {
		shown.Gaps, err = s.Store.RecentReconciliations(ctx, id, store.KindUserDaily, gapDays*24*time.Hour)
		slices.Reverse(shown.Gaps)
		return err
	})
	group.Go(func() (err error) {
		shown.People, err = s.Store.DailyCounts(ctx, id, peopleDays)
		return err
	})
	group.Go(func() (err error) {
		shown.Changes, err = s.Store.RecentChanges(ctx, id)
		return err
	})
	group.Go(func() error {
		letters, err := report.Letters(ctx, s.Store, operatorapi.LettersQuestion{LettersFilter: operatorapi.LettersFilter{CustomerID: id}, Limit: inShortList})
		shown.Letter = letters.Letters
		return err
	})
	group.Go(func() error {
		made, err := dailyreport.Reporter{Limits: s.Limits, Floors: s.Floors}.Make(ctx, s.Store.Conn, id)
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		shown.Report = &made
		stored, err := s.Store.GivingReportsBefore(ctx, id, "9999-12-31", reportsListed)
		for _, one := range stored {
			shown.Reports = append(shown.Reports, one.Date)
		}
		return err
	})
	group.Go(func() error {
		question := operatorapi.DeletionsQuestion{CustomerID: id, Limit: inShortList}
		shown.Held = askPart(ctx, s, who, "deletions", "ls", question,
			func(reply operatorapi.DeletionsReply) []operatorapi.DeletionRun { return heldOnly(reply.Deletions) })
		return nil
	})
	group.Go(func() error {
		question := operatorapi.ReviewsQuestion{CustomerID: id, Limit: inShortList}
		shown.Review = askPart(ctx, s, who, "review", "ls", question, func(reply operatorapi.ReviewsReply) []operatorapi.ReviewItem { return reply.Items })
		return nil
	})
	if err := group.Wait(); err != nil {
		return Page{}, err
	}
	of := shown.Status.Integration
	shown.State = stateOf(report.StateOf(shown.Status.Health.IsHealthy, of.PausedAt != nil, of.OffboardedAt != nil, shown.Status.Health.Reasons))
	return Page{Title: id, Section: "customers", Customer: id, Fragments: shown.fragments()}, nil
}

// fragments returns the parts of the page that have something to show.
func (v customerView) fragments() []Fragment {
	fragments := []Fragment{{"customer-state", customerState(v)}, {"customer-figures", customerFigures(v)}}
	if backfill := v.Status.Backfill; backfill != nil && backfill.State != string(store.RunCompleted) {
		fragments = append(fragments, Fragment{"customer-backfill", customerBackfill(v)})
	}
	if len(v.Status.Health.Reasons) > 1 {
		fragments = append(fragments, Fragment{"customer-reasons", customerReasons(v)})
	}
	fragments = append(fragments, Fragment{"customer-letters", customerLetters(v)})
	if len(v.Held.Content) > 0 || v.Held.Problem != "" {
		fragments = append(fragments, Fragment{"customer-held", customerHeld(v)})
	}
	if len(v.Review.Content) > 0 || v.Review.Problem != "" {
		fragments = append(fragments, Fragment{"customer-review", customerReview(v)})
	}
	if v.Report != nil {
		fragments = append(fragments, Fragment{"customer-giving", customerGiving(v)})
	}
	if len(v.People) > 0 {
		fragments = append(fragments, Fragment{"customer-people", customerPeople(v)})
	}
	if len(v.Gaps) > 0 {
		fragments = append(fragments, Fragment{"customer-gaps", customerGaps(v)})
	}
	fragments = append(fragments, Fragment{"customer-changes", customerChanges(v)})
	return append(fragments, Fragment{"customer-budget", customerBudget(v)}, Fragment{"customer-acts", customerActs(v)})
}

// askPart asks a service for a part of a page. A service that does not answer costs that part only.
func askPart[Question, Reply, Content any](ctx context.Context, s *Site, who access.Principal, noun, verb string, question Question,
	pick func(Reply) Content,
) part[Content] {
	client := s.client(who)
	client.Timeout = partTimeout
	reply, err := operatorclient.Ask[Question, Reply](ctx, client, noun, verb, question)
	if err != nil {
		_, words := explainError(err)
		return part[Content]{Problem: words.Title + "."}
	}
	return part[Content]{Content: pick(reply)}
}

func heldOnly(runs []operatorapi.DeletionRun) []operatorapi.DeletionRun {
	return slices.DeleteFunc(runs, func(run operatorapi.DeletionRun) bool { return run.State != "held" })
}

// jobSpent is one job's requests.
type jobSpent struct {
	Job          string
	Today, Total int64
}

// spentByJob returns who spends the customer's requests, the most of today first.
func spentByJob(spent report.Budget) []jobSpent {
	var jobs []jobSpent
	for job, total := range spent.Total {
		jobs = append(jobs, jobSpent{Job: job, Today: spent.Today[job], Total: total})
	}
	slices.SortFunc(jobs, func(one, other jobSpent) int {
		if one.Today != other.Today {
			return int(other.Today - one.Today)
		}
		return int(other.Total - one.Total)
	})
	return jobs
}

// summary says in one sentence how the customer does.
func (v customerView) summary() string {
	switch reason := worst(v.Status.Health.Reasons); {
	case reason != nil && (reason.Unhealthy || v.State.Code != healthy().Code):
		return reason.Text
	case v.State.Code == starting().Code && v.Status.Backfill != nil:
		return "The first backfill is under way. The mirror is complete when it has ended."
	case v.State.Code == starting().Code:
		return "The customer was onboarded, and its first poll is still to come."
	case v.Status.Polling.CaughtUpAt != nil:
		return "The mirror is complete, and has every change up to " + relative(*v.Status.Polling.CaughtUpAt, v.Status.AsOf) + "."
	}
	return "Everything works."
}

// figure is a number of the report of giving, with what is healthy.
type figure struct {
	Name, Value, Healthy, State, Remedy, Path string
}

// givingFigures returns the seven figures of the report.
func givingFigures(made dailyreport.Report) []figure {
	of := made.Metrics
	figures := []figure{
		count("Waiting to be sent", "pending", of.Pending.Count, made.CustomerID),
		count("Sent more than 24 hours ago, no gift yet", "submitted", of.SubmittedLate.Count, made.CustomerID),
		count("Need a match in Virtuous", "needs_review", of.NeedsReview.Count, made.CustomerID),
		count("Rejected by Virtuous", "failed", of.Failed, made.CustomerID),
		count("Differ on both sides", "conflict", of.Conflict, made.CustomerID),
		verdict("Time to confirmation, median", "not known", of.Latency.Verdict),
		verdict("Confirmed by a reconciliation and not by a webhook", "not known", of.RecoveredShare.Verdict),
	}
	if of.Latency.MedianSeconds != nil {
		figures[5].Value = inShort(time.Duration(*of.Latency.MedianSeconds) * time.Second)
	}
	if of.RecoveredShare.Value != nil {
		figures[6].Value = percent(*of.RecoveredShare.Value)
	}
	return figures
}

func count(name, status string, of dailyreport.Count, _ string) figure {
	made := verdict(name, number(of.Value), of.Verdict)
	made.Path = status
	return made
}

func verdict(name, value string, of dailyreport.Verdict) figure {
	return figure{Name: name, Value: value, Healthy: of.Healthy, State: of.State, Remedy: of.Remedy}
}

func heldPath(run operatorapi.DeletionRun) string {
	return "/held/" + url.PathEscape(run.CustomerID) + "/" + run.Entity
}

func reviewPath(item operatorapi.ReviewItem) string {
	return "/review/" + url.PathEscape(item.CustomerID) + "/" + strconv.FormatInt(item.ID, 10)
}
