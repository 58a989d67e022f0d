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
	gatherEvery     = 5 * time.Second
	summaryAgain    = 2 * time.Minute // after which another replica sends a summary whose sender died
	summaryWithin   = 100 * time.Second
	summaryExamples = 5
)

// floodBounds says from when on alerts of one type are gathered: mail providers stop taking mails that come by the hundred,
// those of other alerts included.
func floodBounds() store.Flood {
	return store.Flood{AtOnce: 5, Recent: 5 * time.Minute, Quiet: time.Minute, Longest: 5 * time.Minute}
}

// gathered notes the alert and returns whether it goes to operators and the webhook in a summary later, and not by itself.
func (n *notifier) gathered(ctx context.Context, delivery *worker.Delivery, alert *rollcallv1.Alert) (bool, error) {
	if n.webhook == nil && len(n.operators) == 0 {
		return false, nil
	}
	payload, err := rollcallv1.Encode(alert)
	if err != nil {
		return false, err
	}
	id := messageID(delivery)
	return n.teller.store.NoteAlertArrival(ctx, store.AlertArrival{
		MessageID: id, RaisedID: raisedID(id, alert), Customer: alert.GetCustomerId(), Type: alert.GetType(), Cleared: alert.GetCleared(),
		Payload: string(payload),
	}, floodBounds())
}

// gatherer sends gathered alerts as summaries, one a type. The alerts wait in Postgres: a crash forgets none, and a summary
// has the same id again, under which each channel that had it is noted.
type gatherer struct {
	told   *notifier
	logger *zap.Logger
}

func (g *gatherer) run(ctx context.Context) {
	ticker := time.NewTicker(g.told.gatherEvery)
	defer ticker.Stop()
	for {
		if err := g.look(ctx); err != nil && ctx.Err() == nil {
			g.logger.Warn("summaries of alerts were not sent; it is tried again", zap.Error(err))
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// look sends the summaries that are due. The ends of a type wait until its beginnings are sent.
func (g *gatherer) look(ctx context.Context) error {
	from := g.told.teller.store
	summaries, err := from.ClaimAlertSummaries(ctx, floodBounds(), summaryAgain, summaryExamples)
	if err != nil {
		return err
	}
	failed := map[string]bool{}
	for _, summary := range summaries {
		if !failed[summary.Type] {
			if err = g.send(ctx, summary); err == nil {
				continue
			}
			failed[summary.Type] = true
			g.logger.Warn("summary of alerts not sent; it is tried again", zap.String("type", summary.Type), zap.Error(err))
		}
		// A context that ended leaves it claimed: another replica takes it later.
		if err := from.ReleaseAlertSummary(ctx, summary.ID); err != nil {
			return err
		}
	}
	return nil
}

func (g *gatherer) send(ctx context.Context, summary store.AlertSummary) error {
	sending, cancel := context.WithTimeout(ctx, summaryWithin)
	defer cancel()
	notices, err := g.told.summaryNotices(sending, summary)
	if err != nil {
		return err
	}
	if err := g.told.teller.tell(sending, summary.ID, 1, notices); err != nil {
		return err
	}
	g.logger.Info("gathered alerts sent", zap.String("type", summary.Type), zap.Bool("cleared", summary.Cleared), zap.Int("alerts", summary.Alerts))
	return g.told.teller.store.NoteAlertSummarySent(ctx, summary.ID)
}

// summaryNotices is a summary on each channel.
func (n *notifier) summaryNotices(ctx context.Context, summary store.AlertSummary) ([]notice, error) {
	words, err := wordsOfSummary(summary)
	if err != nil {
		return nil, err
	}
	var notices []notice
	if n.webhook != nil {
		body, err := words.body()
		if err != nil {
			return nil, err
		}
		post := n.webhook.notice(summary.ID, kindAlertSummary, body)
		if old, err := n.old(ctx, summary.LastAt); err != nil {
			return nil, err
		} else if old {
			post.send = forADay(post.send)
		}
		notices = append(notices, post)
	}
	if len(n.operators) == 0 {
		return notices, nil
	}
	mail, err := n.words.write(kindAlertSummary, words)
	if err != nil {
		return nil, err
	}
	mail.id = summary.ID
	for _, operator := range n.operators {
		notices = append(notices, n.mailer.operatorNotice(operator, mail))
	}
	return notices, nil
}

// summaryWords is a summary as people read it.
type summaryWords struct {
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

// summaryData is what a receiver of webhooks gets of a summary.
type summaryData struct {
	Type      string            `json:"type"`
	Severity  string            `json:"severity"`
	Cleared   bool              `json:"cleared"`
	Count     int               `json:"count"`
	Customers int               `json:"customers"`
	FirstAt   time.Time         `json:"firstAt"`
	LastAt    time.Time         `json:"lastAt"`
	Examples  []json.RawMessage `json:"examples"` // alerts, as they are posted one by one
	ListAll   string            `json:"listAll"`
}

func wordsOfSummary(summary store.AlertSummary) (summaryWords, error) {
	words := summaryWords{
		What: oneLine(summary.Type), Cleared: summary.Cleared, Count: counted(summary.Alerts, "alert"), Customers: counted(summary.Customers, "customer"),
		From: moment(summary.FirstAt, time.UTC), To: moment(summary.LastAt, time.UTC), List: listAll(summary), summary: summary,
	}
	for _, payload := range summary.Examples {
		alert := &rollcallv1.Alert{}
		if err := rollcallv1.Read([]byte(payload), alert); err != nil {
			return words, fault.Permanent("alert_invalid", fmt.Errorf("read gathered alert: %w", err))
		}
		example := wordsOf(alert)
		words.Severity = example.Severity
		words.Remedy = oneLine(alert.GetRemedy())
		if _, known := event.ExplainFor("<customer>", summary.Type); known != "" && summary.Customers > 1 {
			words.Remedy = oneLine(known)
		}
		words.Examples = append(words.Examples, summaryExample{Customer: example.Customer, User: example.User, Text: example.Text})
	}
	return words, nil
}

// listAll is the command that lists what a summary counts: alerts that are over are only in the list of all.
func listAll(summary store.AlertSummary) string {
	if summary.Cleared || summary.Type == event.AlertEmailChanged {
		return "rollcall alerts ls --all"
	}
	return "rollcall alerts ls"
}

// title is the first line of a summary.
func (w summaryWords) Title() string {
	if w.Cleared {
		return "over: " + w.What + ": " + w.Count + " of " + w.Customers
	}
	return w.Severity + ": " + w.What + ": " + w.Count + " of " + w.Customers
}

// body is a summary as it is posted. The same summary gives the same bytes.
func (w summaryWords) body() ([]byte, error) {
	data := summaryData{
		Type: w.summary.Type, Severity: w.Severity, Cleared: w.Cleared, Count: w.summary.Alerts, Customers: w.summary.Customers,
		FirstAt: w.summary.FirstAt.UTC(), LastAt: w.summary.LastAt.UTC(), ListAll: w.List,
	}
	var named []string
	for i, example := range w.Examples {
		data.Examples = append(data.Examples, json.RawMessage(w.summary.Examples[i]))
		name := example.Customer
		if example.User != "" {
			name += " (user " + example.User + ")"
		}
		named = append(named, name)
	}
	text := w.Title() + ", for example " + strings.Join(named, ", ") + "."
	if len(w.Examples) > 0 {
		text += " " + w.Examples[0].Text
	}
	if w.Remedy != "" && !w.Cleared {
		text += " What to do: " + w.Remedy
	}
	text += " All of them: " + w.List
	encoded, err := json.Marshal(data)
	if err != nil {
		return nil, fmt.Errorf("encode summary: %w", err)
	}
	posted := posted{Type: "alerts.raised", Timestamp: w.summary.LastAt.UTC(), Text: forSlack(text), Data: encoded}
	if w.Cleared {
		posted.Type = "alerts.cleared"
	}
	body, err := json.Marshal(posted)
	if err != nil {
		return nil, fmt.Errorf("encode summary: %w", err)
	}
	return body, nil
}
