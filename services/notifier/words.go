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

// mails are the words of all mails: for each kind a subject and a text in mails/<kind>.txt, and the same for the eye
// in mails/<kind>.html.
type mails struct {
	texts map[string]*texttemplate.Template
	htmls map[string]*htmltemplate.Template
}

func mailKinds() []string {
	return []string{kindAlertRaised, kindAlertCleared, kindTokenInvalid, kindBackfillScheduled, kindBackfillCompleted, kindTest, kindAlertSummary}
}

func readMails() (*mails, error) {
	read := &mails{texts: map[string]*texttemplate.Template{}, htmls: map[string]*htmltemplate.Template{}}
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

// write makes a mail of a kind.
func (m *mails) write(kind string, data any) (letter, error) {
	written := letter{kind: kind}
	for name, to := range map[string]*string{"subject": &written.subject, "text": &written.text} {
		var out bytes.Buffer
		if err := m.texts[kind].ExecuteTemplate(&out, name, data); err != nil {
			return letter{}, fmt.Errorf("write mail: %w", err)
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
		return letter{}, fmt.Errorf("write mail: %w", err)
	}
	written.html = out.String()
	return written, nil
}

// alertWords is an alert as people read it.
type alertWords struct {
	Customer string
	What     string // its type, written as everywhere else: it is what people search for
	Severity string
	Text     string
	Remedy   string
	User     string // "" where it is not of one user alone
	Trace    string
	Since    string
	Until    string
	Lasted   string // "" where that is not known
}

func wordsOf(alert *rollcallv1.Alert) alertWords {
	customer := alert.GetCustomerId()
	words := alertWords{
		Customer: customer, What: oneLine(alert.GetType()), Severity: oneLine(alert.GetSeverity()),
		Text: oneLine(alert.GetText()), User: oneLine(alert.GetVomoUserId()), Trace: oneLine(alert.GetTraceId()),
		// Remedies are written for any customer; this one can be copied into a shell.
		Remedy: strings.ReplaceAll(oneLine(alert.GetRemedy()), "<customer>", customer),
		Until:  moment(alert.GetAt().AsTime(), time.UTC), Since: moment(alert.GetAt().AsTime(), time.UTC),
	}
	if raised := alert.GetRaisedAt(); raised != nil {
		words.Since = moment(raised.AsTime(), time.UTC)
		if alert.GetCleared() {
			words.Lasted = lasting(alert.GetAt().AsTime().Sub(raised.AsTime()))
		}
	}
	return words
}

// alert is an alert as a mail to operators.
func (m *mails) alert(alert *rollcallv1.Alert) (letter, error) {
	return m.write(kindOfAlert(alert), wordsOf(alert))
}

// alertBody is an alert as it is posted. The same alert gives the same bytes.
func alertBody(alert *rollcallv1.Alert) ([]byte, error) {
	data, err := rollcallv1.Encode(alert)
	if err != nil {
		return nil, err
	}
	body := posted{Type: "alert.raised", Timestamp: alert.GetAt().AsTime(), Text: slackText(alert), Data: data}
	if alert.GetCleared() {
		body.Type = "alert.cleared"
	}
	encoded, err := json.Marshal(body)
	if err != nil {
		return nil, fmt.Errorf("encode alert: %w", err)
	}
	return encoded, nil
}

// slackText is the alert in one line; Slack takes an unescaped <word> for a link.
func slackText(alert *rollcallv1.Alert) string {
	words := wordsOf(alert)
	var text string
	switch {
	case alert.GetCleared() && words.Lasted != "":
		text = fmt.Sprintf("over: %s: %s, after %s. %s", words.Customer, words.What, words.Lasted, words.Text)
	case alert.GetCleared():
		text = fmt.Sprintf("over: %s: %s. %s", words.Customer, words.What, words.Text)
	default:
		text = fmt.Sprintf("%s: %s: %s. %s", words.Severity, words.Customer, words.What, words.Text)
		if words.User != "" {
			text += " (user " + words.User + ")"
		}
		if words.Remedy != "" {
			text += " What to do: " + words.Remedy
		}
	}
	return forSlack(text)
}

func forSlack(text string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(oneLine(text))
}

// moment is a time as a person reads it, with its zone.
func moment(at time.Time, zone *time.Location) string {
	return at.In(zone).Format("Mon 2 Jan 2006, 15:04 MST")
}

// lasting is a length as a person says it.
func lasting(length time.Duration) string {
	switch length = max(length, 0); {
	case length < 90*time.Second:
		return counted(int(length.Seconds()), "second")
	case length < 90*time.Minute:
		return counted(int(length.Round(time.Minute).Minutes()), "minute")
	case length < 48*time.Hour:
		minutes := int(length.Round(time.Minute).Minutes())
		return fmt.Sprintf("%s %s", counted(minutes/60, "hour"), counted(minutes%60, "minute"))
	}
	hours := int(length.Round(time.Hour).Hours())
	return fmt.Sprintf("%s %s", counted(hours/24, "day"), counted(hours%24, "hour"))
}

func counted(number int, one string) string {
	if number == 1 {
		return "1 " + one
	}
	return grouped(number) + " " + one + "s"
}

// grouped writes 1234567 as 1,234,567.
func grouped(number int) string {
	digits := strconv.Itoa(number)
	for at := len(digits) - 3; at > 0; at -= 3 {
		digits = digits[:at] + "," + digits[at:]
	}
	return digits
}
