package main

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	htmltemplate "html/template"
	"strconv"
	"strings"
	texttemplate "text/template"
	"time"

	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

//go:embed mails
var mailFiles embed.FS

// mailTemplates are the templates of all mails: for each kind the subject and text in mails/<kind>.txt, and the HTML part in
// mails/<kind>.html.
type mailTemplates struct {
	texts map[string]*texttemplate.Template
	htmls map[string]*htmltemplate.Template
}

func mailKinds() []string {
	return []string{
		kindAlertRaised, kindAlertCleared, kindTokenInvalid, kindKeyInvalid, kindVirtuousSetUp, kindGivingReport, kindBackfillScheduled,
		kindBackfillCompleted, kindTest, kindAlertSummary,
	}
}

func parseMailTemplates() (*mailTemplates, error) {
	read := &mailTemplates{texts: map[string]*texttemplate.Template{}, htmls: map[string]*htmltemplate.Template{}}
	for _, kind := range mailKinds() {
		text, err := texttemplate.New(kind).Option("missingkey=error").ParseFS(mailFiles, "mails/"+kind+".txt")
		if err != nil {
			return nil, fmt.Errorf("read the text of %s: %w", kind, err)
		}
		html, err := htmltemplate.New(kind).Option("missingkey=error").ParseFS(mailFiles, "mails/layout.html", "mails/"+kind+".html")
		if err != nil {
			return nil, fmt.Errorf("read the HTML of %s: %w", kind, err)
		}
		read.texts[kind], read.htmls[kind] = text, html
	}
	return read, nil
}

// write returns a mail of a kind.
func (m *mailTemplates) write(kind string, data any) (mailContent, error) {
	written := mailContent{kind: kind}
	for name, to := range map[string]*string{"subject": &written.subject, "text": &written.text} {
		var out bytes.Buffer
		if err := m.texts[kind].ExecuteTemplate(&out, name, data); err != nil {
			return mailContent{}, fmt.Errorf("write mail: %w", err)
		}
		*to = strings.TrimSpace(out.String()) + "\n"
	}
	written.subject = oneLine(written.subject)
	var out bytes.Buffer
	content := struct {
		Subject string
		Data    any
	}{written.subject, data}
	if err := m.htmls[kind].ExecuteTemplate(&out, "layout", content); err != nil {
		return mailContent{}, fmt.Errorf("write mail: %w", err)
	}
	written.html = out.String()
	return written, nil
}

// alertView is what the texts of an alert show.
type alertView struct {
	Customer string
	What     string // the type, unchanged, so that people can search for it
	Severity string
	Text     string
	Remedy   string
	User     string // "" if the alert is not about one user
	Trace    string
	Since    string
	Until    string
	Lasted   string // "" if it is not known
}

func newAlertView(alert *rollcallv1.Alert) alertView {
	customer := alert.GetCustomerId()
	view := alertView{
		Customer: customer, What: oneLine(alert.GetType()), Severity: oneLine(alert.GetSeverity()),
		Text: oneLine(alert.GetText()), User: oneLine(alert.GetVomoUserId()), Trace: oneLine(alert.GetTraceId()),
		// A remedy contains a placeholder. With the customer's id, the operator can copy it into a shell.
		Remedy: strings.ReplaceAll(oneLine(alert.GetRemedy()), "<customer>", customer),
		Until:  formatTime(alert.GetAt().AsTime(), time.UTC), Since: formatTime(alert.GetAt().AsTime(), time.UTC),
	}
	if raised := alert.GetRaisedAt(); raised != nil {
		view.Since = formatTime(raised.AsTime(), time.UTC)
		if alert.GetCleared() {
			view.Lasted = formatDuration(alert.GetAt().AsTime().Sub(raised.AsTime()))
		}
	}
	return view
}

// alertMail returns an alert's mail to operators.
func (m *mailTemplates) alertMail(alert *rollcallv1.Alert) (mailContent, error) {
	return m.write(alertKind(alert), newAlertView(alert))
}

// alertBody returns an alert as a webhook's body. The same alert gives the same bytes.
func alertBody(alert *rollcallv1.Alert) ([]byte, error) {
	data, err := rollcallv1.Encode(alert)
	if err != nil {
		return nil, err
	}
	body := webhookBody{Type: "alert.raised", Timestamp: alert.GetAt().AsTime(), Text: slackText(alert), Data: data}
	if alert.GetCleared() {
		body.Type = "alert.cleared"
	}
	encoded, err := json.Marshal(body)
	if err != nil {
		return nil, fmt.Errorf("encode alert: %w", err)
	}
	return encoded, nil
}

// slackText returns the alert in one line. It is escaped, because Slack reads <word> as a link.
func slackText(alert *rollcallv1.Alert) string {
	view := newAlertView(alert)
	var text string
	switch {
	case alert.GetCleared() && view.Lasted != "":
		text = fmt.Sprintf("cleared: %s: %s, after %s. %s", view.Customer, view.What, view.Lasted, view.Text)
	case alert.GetCleared():
		text = fmt.Sprintf("cleared: %s: %s. %s", view.Customer, view.What, view.Text)
	default:
		text = fmt.Sprintf("%s: %s: %s. %s", view.Severity, view.Customer, view.What, view.Text)
		if view.User != "" {
			text += " (user " + view.User + ")"
		}
		if view.Remedy != "" {
			text += " What to do: " + view.Remedy
		}
	}
	return escapeSlack(text)
}

func escapeSlack(text string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(oneLine(text))
}

// formatTime returns a time with its zone, as people write it.
func formatTime(at time.Time, zone *time.Location) string {
	return at.In(zone).Format("Mon 2 Jan 2006, 15:04 MST")
}

// formatDuration returns a duration as people write it.
func formatDuration(length time.Duration) string {
	switch length = max(length, 0); {
	case length < 90*time.Second:
		return countOf(int(length.Seconds()), "second")
	case length < 90*time.Minute:
		return countOf(int(length.Round(time.Minute).Minutes()), "minute")
	case length < 48*time.Hour:
		minutes := int(length.Round(time.Minute).Minutes())
		return fmt.Sprintf("%s %s", countOf(minutes/60, "hour"), countOf(minutes%60, "minute"))
	}
	hours := int(length.Round(time.Hour).Hours())
	return fmt.Sprintf("%s %s", countOf(hours/24, "day"), countOf(hours%24, "hour"))
}

func countOf(number int, one string) string {
	if number == 1 {
		return "1 " + one
	}
	return formatNumber(number) + " " + one + "s"
}

// formatNumber writes 1234567 as 1,234,567.
func formatNumber(number int) string {
	digits := strconv.Itoa(number)
	for at := len(digits) - 3; at > 0; at -= 3 {
		digits = digits[:at] + "," + digits[at:]
	}
	return digits
}
