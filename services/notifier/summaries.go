package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"go.uber.org/zap"

	"rollcall.dev/pkg/event"
	"rollcall.dev/pkg/fault"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/worker"
	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

const (
	summaryInterval = 5 * time.Second
	summaryClaim    = 2 * time.Minute // after which another replica sends a summary whose sender died
	summaryTimeout  = 100 * time.Second
	summaryExamples = 5
)

// floodLimits returns from which rate on alerts of one type are summarized. Mail providers stop accepting mails that come by
// the hundred, also those about other alerts.
func floodLimits() store.Flood {
	return store.Flood{AtOnce: 5, Recent: 5 * time.Minute, Quiet: time.Minute, Longest: 5 * time.Minute}
}

// deferToSummary notes the alert and returns whether operators and the webhook get it later, in a summary.
func (n *notifier) deferToSummary(ctx context.Context, delivery *worker.Delivery, alert *rollcallv1.Alert) (bool, error) {
	if n.webhook == nil && len(n.operators) == 0 {
		return false, nil
	}
	payload, err := rollcallv1.Encode(alert)
	if err != nil {
		return false, err
	}
	id := messageID(delivery)
	return n.sender.store.NoteAlertArrival(ctx, store.AlertArrival{
		MessageID: id, RaisedID: raisedID(id, alert), Customer: alert.GetCustomerId(), Type: alert.GetType(), Cleared: alert.GetCleared(),
		Payload: string(payload),
	}, floodLimits())
}

// summarySender sends deferred alerts as summaries, one for each type. The alerts wait in Postgres, so a crash loses none. A
// summary that is sent again has the same id, under which the channels that got it are noted.
type summarySender struct {
	notifier *notifier
	logger   *zap.Logger
}

func (s *summarySender) run(ctx context.Context) {
	ticker := time.NewTicker(s.notifier.summaryEvery)
	defer ticker.Stop()
	for {
		if err := s.sendDue(ctx); err != nil && ctx.Err() == nil {
			s.logger.Warn("summaries of alerts not sent; they will be retried", zap.Error(err))
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// sendDue sends the summaries that are due. A type's "cleared" summary waits until its "raised" summary is sent.
func (s *summarySender) sendDue(ctx context.Context) error {
	from := s.notifier.sender.store
	summaries, err := from.ClaimAlertSummaries(ctx, floodLimits(), summaryClaim, summaryExamples)
	if err != nil {
		return err
	}
	failed := map[string]bool{}
	for _, summary := range summaries {
		if !failed[summary.Type] {
			if err = s.send(ctx, summary); err == nil {
				continue
			}
			failed[summary.Type] = true
			s.logger.Warn("summary of alerts not sent; it will be retried", zap.String("type", summary.Type), zap.Error(err))
		}
		// If the context has ended, the summary stays claimed, and another replica sends it later.
		if err := from.ReleaseAlertSummary(ctx, summary.ID); err != nil {
			return err
		}
	}
	return nil
}

func (s *summarySender) send(ctx context.Context, summary store.AlertSummary) error {
	sending, cancel := context.WithTimeout(ctx, summaryTimeout)
	defer cancel()
	notices, err := s.notifier.summaryNotices(sending, summary)
	if err != nil {
		return err
	}
	if err := s.notifier.sender.sendAll(sending, summary.ID, 1, notices); err != nil {
		return err
	}
	s.logger.Info("summary of alerts sent", zap.String("type", summary.Type), zap.Bool("cleared", summary.Cleared), zap.Int("alerts", summary.Alerts))
	return s.notifier.sender.store.NoteAlertSummarySent(ctx, summary.ID)
}

// summaryNotices returns a summary's notices on all channels.
func (n *notifier) summaryNotices(ctx context.Context, summary store.AlertSummary) ([]notice, error) {
	view, err := newSummaryView(summary)
	if err != nil {
		return nil, err
	}
	var notices []notice
	if n.webhook != nil {
		body, err := view.body()
		if err != nil {
			return nil, err
		}
		post := n.webhook.notice(summary.ID, kindAlertSummary, body)
		if isOld, err := n.isOld(ctx, summary.LastAt); err != nil {
			return nil, err
		} else if isOld {
			post.send = giveUpAfterDay(post.send)
		}
		notices = append(notices, post)
	}
	if len(n.operators) == 0 {
		return notices, nil
	}
	mail, err := n.templates.write(kindAlertSummary, view)
	if err != nil {
		return nil, err
	}
	mail.id = summary.ID
	for _, operator := range n.operators {
		notices = append(notices, n.mailer.noticeTo(operator, mail))
	}
	return notices, nil
}

// summaryView is what the texts of a summary show.
type summaryView struct {
	What      string
	Cleared   bool
	Severity  string
	Count     string // "295 alerts"
	Customers string // "1 customer"
	From, To  string
	Remedy    string
	List      string // the command that lists all
	Examples  []summaryExample

	summary store.AlertSummary
}

type summaryExample struct{ Customer, User, Text string }

// summaryPayload is a summary in a webhook's body.
type summaryPayload struct {
	Type      string            `json:"type"`
	Severity  string            `json:"severity"`
	Cleared   bool              `json:"cleared"`
	Count     int               `json:"count"`
	Customers int               `json:"customers"`
	FirstAt   time.Time         `json:"firstAt"`
	LastAt    time.Time         `json:"lastAt"`
	Examples  []json.RawMessage `json:"examples"` // alerts in the form in which single alerts are posted
	ListAll   string            `json:"listAll"`
}

func newSummaryView(summary store.AlertSummary) (summaryView, error) {
	view := summaryView{
		What: oneLine(summary.Type), Cleared: summary.Cleared, Count: countOf(summary.Alerts, "alert"), Customers: countOf(summary.Customers, "customer"),
		From: formatTime(summary.FirstAt, time.UTC), To: formatTime(summary.LastAt, time.UTC), List: listCommand(summary), summary: summary,
	}
	for _, payload := range summary.Examples {
		alert := &rollcallv1.Alert{}
		if err := rollcallv1.Read([]byte(payload), alert); err != nil {
			return view, fault.Permanent("alert_invalid", fmt.Errorf("read alert of summary: %w", err))
		}
		example := newAlertView(alert)
		view.Severity = example.Severity
		view.Remedy = oneLine(alert.GetRemedy())
		if _, remedy := event.ExplainFor("<customer>", summary.Type); remedy != "" && summary.Customers > 1 {
			view.Remedy = oneLine(remedy)
		}
		view.Examples = append(view.Examples, summaryExample{Customer: example.Customer, User: example.User, Text: example.Text})
	}
	return view, nil
}

// listCommand returns the command that lists the summary's alerts. Only the list of all has cleared alerts.
func listCommand(summary store.AlertSummary) string {
	if summary.Cleared || summary.Type == event.AlertEmailChanged {
		return "rollcall alerts ls --all"
	}
	return "rollcall alerts ls"
}

// Title returns the first line of a summary.
func (v summaryView) Title() string {
	if v.Cleared {
		return "cleared: " + v.What + ": " + v.Count + " of " + v.Customers
	}
	return v.Severity + ": " + v.What + ": " + v.Count + " of " + v.Customers
}

// body returns a summary as a webhook's body. The same summary gives the same bytes.
func (v summaryView) body() ([]byte, error) {
	data := summaryPayload{
		Type: v.summary.Type, Severity: v.Severity, Cleared: v.Cleared, Count: v.summary.Alerts, Customers: v.summary.Customers,
		FirstAt: v.summary.FirstAt.UTC(), LastAt: v.summary.LastAt.UTC(), ListAll: v.List,
	}
	var named []string
	for i, example := range v.Examples {
		data.Examples = append(data.Examples, json.RawMessage(v.summary.Examples[i]))
		name := example.Customer
		if example.User != "" {
			name += " (user " + example.User + ")"
		}
		named = append(named, name)
	}
	text := v.Title() + ", for example " + strings.Join(named, ", ") + "."
	if len(v.Examples) > 0 {
		text += " " + v.Examples[0].Text
	}
	if v.Remedy != "" && !v.Cleared {
		text += " What to do: " + v.Remedy
	}
	text += " All of them: " + v.List
	encoded, err := json.Marshal(data)
	if err != nil {
		return nil, fmt.Errorf("encode summary: %w", err)
	}
	posted := webhookBody{Type: "alerts.raised", Timestamp: v.summary.LastAt.UTC(), Text: escapeSlack(text), Data: encoded}
	if v.Cleared {
		posted.Type = "alerts.cleared"
	}
	body, err := json.Marshal(posted)
	if err != nil {
		return nil, fmt.Errorf("encode summary: %w", err)
	}
	return body, nil
}
