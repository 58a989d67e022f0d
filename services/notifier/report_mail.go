package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/fault"
	"rollcall.dev/pkg/giving/dailyreport"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/worker"
	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

// reportView is what the daily mail about giving shows: counts and times, and nothing of a donor.
type reportView struct {
	Customer   string
	Date       string
	Waiting    string // "3 records", or "" if none waits for a decision
	ImportsURL string // "" if it is not known
	Figures    []figureView
}

// figureView is a figure in the words of the customer's staff.
type figureView struct {
	Name, Value, Healthy, State string
	Remedy                      string // "" if nothing has to be done
}

// reportMails returns the daily mail about giving. There is none if all figures are ok and no record waits for a decision.
func (n *notifier) reportMails(ctx context.Context, delivery *worker.Delivery) ([]customerMail, error) {
	stored := &rollcallv1.ReportStored{}
	if err := rollcallv1.Read(delivery.Data, stored); err != nil {
		return nil, fault.Permanent("event_invalid", fmt.Errorf("read event: %w", err))
	}
	if stored.GetState() == dailyreport.OK && stored.GetReviewCount() == 0 {
		return nil, nil
	}
	if _, err := time.Parse(time.DateOnly, stored.GetDate()); err != nil {
		return nil, fault.Permanent("event_invalid", errors.New("date of the event must be a day such as 2026-11-20"))
	}
	customer := bus.CustomerOf(delivery.Subject)
	report, err := dailyreport.Of(ctx, n.sender.store.Conn, customer, stored.GetDate())
	if errors.Is(err, store.ErrNotFound) { // the customer was purged since
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	config, err := n.sender.store.VirtuousConfig(ctx, customer)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return nil, err
	}
	view := newReportView(report, config.ImportsURL)
	return []customerMail{{kind: kindGivingReport, at: report.MadeAt, data: func(*time.Location) any { return view }}}, nil
}

func newReportView(report dailyreport.Report, importsURL string) reportView {
	view := reportView{Customer: report.CustomerID, Date: report.Date, ImportsURL: importsURL, Figures: figureViews(report)}
	if waiting := report.WaitingForReview(); waiting > 0 {
		view.Waiting = countOf(int(waiting), "record")
	}
	return view
}

// What staff do about figures that need the people who run the integration.
const (
	remedyOurs = "You need not do anything: the people who run this integration for you look into it."
	remedyRun  = "Run the imports that wait in Virtuous. If you have run them, you need not do anything more."
)

func figureViews(report dailyreport.Report) []figureView {
	m := report.Metrics
	waitForReview := "Run the imports that wait in Virtuous, and find a contact for each row under Match Needed, or create one."
	one := func(name, value string, is dailyreport.Verdict, remedy string, waits bool) figureView {
		view := figureView{Name: name, Value: value, Healthy: is.Healthy, State: is.State}
		if is.State != dailyreport.OK || waits {
			view.Remedy = remedy
		}
		return view
	}
	figures := []figureView{
		one("Waiting to be sent to Virtuous", agedText(m.Pending), m.Pending.Verdict, remedyOurs, false),
		one("Accepted by Virtuous more than 24 hours ago, and no gift yet", agedText(m.SubmittedLate), m.SubmittedLate.Verdict, remedyRun, false),
		one("In need of a review", reviewText(m.NeedsReview), m.NeedsReview.Verdict, waitForReview, m.NeedsReview.Value > 0),
		one("Rejected by Virtuous", number(m.Failed.Value), m.Failed.Verdict, remedyOurs, false),
		one("Gifts and contacts that differ on both sides", number(m.Conflict.Value), m.Conflict.Verdict,
			"Say which side is right for each of them to the people who run this integration for you.", m.Conflict.Value > 0),
		one("Time until a donation is a gift", latencyText(m.Latency), m.Latency.Verdict, "Run the import every morning. If you do, "+lowerFirst(remedyOurs), false),
		one("Donations whose webhook was lost", shareText(m.RecoveredShare), m.RecoveredShare.Verdict, remedyOurs, false),
	}
	if c := report.Contacts; c != nil {
		figures = append(figures,
			one("Contacts waiting to be sent to Virtuous", agedText(c.Pending), c.Pending.Verdict, remedyOurs, false),
			one("Contacts accepted by Virtuous more than 24 hours ago, and not there yet", agedText(c.SubmittedLate), c.SubmittedLate.Verdict, remedyRun, false),
			one("Contacts in need of a review", reviewText(c.NeedsReview), c.NeedsReview.Verdict, waitForReview, c.NeedsReview.Value > 0),
			one("Contacts rejected by Virtuous", number(c.Failed.Value), c.Failed.Verdict, remedyOurs, false))
	}
	if report.Drift != nil {
		figures = append(figures, one("New differences between contacts", number(report.Drift.Value), report.Drift.Verdict, remedyOurs, false))
	}
	return figures
}

func number(value int64) string { return formatNumber(int(value)) }

func lowerFirst(text string) string { return string(text[0]|0x20) + text[1:] }

func agedText(one dailyreport.Aged) string {
	if one.OldestAgeSeconds == nil {
		return number(one.Value)
	}
	return number(one.Value) + ", the oldest for " + formatDuration(time.Duration(*one.OldestAgeSeconds)*time.Second)
}

func reviewText(one dailyreport.NeedsReview) string {
	if one.Value == 0 {
		return "0"
	}
	return fmt.Sprintf("%s (import not run: %s, match needed: %s)", number(one.Value), number(one.ByReason.ImportNotRun), number(one.ByReason.MatchNeeded))
}

func latencyText(one dailyreport.Latency) string {
	if one.MedianSeconds == nil {
		return "none in the last days"
	}
	return formatDuration(time.Duration(*one.MedianSeconds)*time.Second) + " (median)"
}

func shareText(one dailyreport.Share) string {
	if one.Value == nil {
		return "none in the last days"
	}
	return strconv.FormatFloat(*one.Value*100, 'f', 2, 64) + " %"
}
