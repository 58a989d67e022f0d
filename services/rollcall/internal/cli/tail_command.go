package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/spf13/cobra"

	"rollcall.dev/pkg/bus"
	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

// tailForgottenAfter is how long the server keeps the consumer of a command that has ended. After a longer silence the command makes another one.
const tailForgottenAfter = time.Minute

// tailed is one stream that people may watch.
type tailed struct {
	noun, stream string
	subjects     func(customer string) string
	name         func(subject string) string // what happened, by its subject
	text         func(line tailLine) string
}

// tailLine is a message as --json prints it.
type tailLine struct {
	Sequence   uint64          `json:"sequence"`
	At         time.Time       `json:"at"` // when the stream got it
	Subject    string          `json:"subject"`
	Name       string          `json:"name"`
	CustomerID string          `json:"customerId"`
	ID         string          `json:"id"`
	Data       json.RawMessage `json:"data"` // null if the message is not JSON
}

func (a *app) tail() *cobra.Command {
	command := &cobra.Command{
		Use:   "tail",
		Short: "Watch events or alerts as they are published",
		Args:  cobra.NoArgs,
		RunE:  func(*cobra.Command, []string) error { return usage("say which: tail events or tail alerts") },
	}
	command.AddCommand(
		a.tailOf("Watch events: a line for each", tailed{
			noun: "events", stream: bus.StreamEvents, name: bus.EventOf, text: eventText,
			subjects: func(customer string) string { return bus.SubjectEvent("*.*", customer) },
		}),
		a.tailOf("Watch alerts: a line for each that is raised or cleared", tailed{
			noun: "alerts", stream: bus.StreamAlerts, name: alertName, text: alertText,
			subjects: func(customer string) string { return bus.SubjectAlert("*", "*", customer) },
		}))
	return command
}

func (a *app) tailOf(short string, what tailed) *cobra.Command {
	var customer, since string
	command := &cobra.Command{
		Use:   what.noun,
		Short: short,
		Long: short + `, until it is stopped with ctrl-c.

It reads the stream without a durable consumer: it acknowledges nothing, and no service gets a message less. With --json it
prints one JSON document on each line.`,
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			if customer != "" && customer != rollcallv1.Installation && !rollcallv1.ValidCustomerID(customer) {
				return usage("--customer is no customer id: 1 to 63 characters of a-z, 0-9, _ and -")
			}
			start, err := sinceFlag(since)
			if err != nil {
				return err
			}
			on, err := a.connect()
			if err != nil {
				return err
			}
			defer on.close()
			return a.followStream(command.Context(), on, what, customer, start)
		},
	}
	command.Flags().StringVar(&customer, "customer", "", "only those of this `customer`")
	command.Flags().StringVar(&since, "since", "", "begin with those of the last `age`, such as 90m, 2h or 3d, or since a time such as 2026-11-20T22:00:00Z")
	return command
}

// sinceFlag returns the moment that --since names, by a clock that the caller has. Without --since it is that clock's time.
func sinceFlag(text string) (func(now time.Time) time.Time, error) {
	if text == "" {
		return nil, nil //nolint:nilnil // nothing of before is wanted
	}
	if at, err := time.Parse(time.RFC3339, text); err == nil {
		return func(time.Time) time.Time { return at }, nil
	}
	age, ok := parseAge(text)
	if !ok {
		return nil, usage("--since takes an age such as 90m, 2h or 3d, or a time such as 2026-11-20T22:00:00Z, not %q", text)
	}
	return func(now time.Time) time.Time { return now.Add(-time.Duration(age) * time.Second) }, nil
}

// followStream prints messages until ctx ends, which is no error.
func (a *app) followStream(ctx context.Context, on *link, what tailed, customer string, start func(now time.Time) time.Time) error {
	subject := "*"
	if customer != "" {
		subject = customer
	}
	messages, err := openTail(ctx, on, what.stream, what.subjects(subject), start)
	if err != nil {
		if ctx.Err() != nil {
			return nil // it was stopped, which is how this command ends
		}
		return fmt.Errorf("watch %s: %w", what.noun, err)
	}
	// Next does not see the end of ctx while it makes its consumer anew.
	unwatch := context.AfterFunc(ctx, messages.Stop)
	defer unwatch()
	defer messages.Stop()
	for {
		message, err := messages.Next(jetstream.NextContext(ctx))
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("watch %s: %w", what.noun, err)
		}
		line, err := lineOf(message, what)
		if err != nil {
			return err
		}
		if err := a.sayTailed(line, what); err != nil {
			return err
		}
	}
}

// openTail begins at start by the server's clock, or with what is published from now on.
func openTail(ctx context.Context, on *link, name, subject string, start func(now time.Time) time.Time) (jetstream.MessagesContext, error) {
	js, err := jetstream.New(on.Conn, jetstream.WithDefaultTimeout(on.Timeout))
	if err != nil {
		return nil, err
	}
	config := jetstream.OrderedConsumerConfig{
		FilterSubjects: []string{subject}, DeliverPolicy: jetstream.DeliverNewPolicy, InactiveThreshold: tailForgottenAfter,
	}
	bounded, cancel := context.WithTimeout(ctx, on.Timeout)
	defer cancel()
	stream, err := js.Stream(bounded, name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil, fmt.Errorf("the stream %s is missing: `rollcall migrate` makes it", name)
	}
	if err != nil {
		return nil, err
	}
	if start != nil {
		at := start(stream.CachedInfo().TimeStamp)
		config.DeliverPolicy, config.OptStartTime = jetstream.DeliverByStartTimePolicy, &at
	}
	consumer, err := stream.OrderedConsumer(bounded, config)
	if err != nil {
		return nil, err
	}
	return consumer.Messages()
}

func lineOf(message jetstream.Msg, what tailed) (tailLine, error) {
	at, err := message.Metadata()
	if err != nil {
		return tailLine{}, fmt.Errorf("read message of %s: %w", what.stream, err)
	}
	line := tailLine{
		Sequence: at.Sequence.Stream, At: at.Timestamp.UTC(), Subject: message.Subject(), Name: what.name(message.Subject()),
		CustomerID: bus.CustomerOf(message.Subject()), ID: message.Headers().Get(bus.HeaderMsgID),
	}
	if json.Valid(message.Data()) {
		line.Data = message.Data()
	}
	return line, nil
}

func (a *app) sayTailed(line tailLine, what tailed) error {
	if a.json {
		encoder := json.NewEncoder(a.out) // it compacts the data into the line
		encoder.SetEscapeHTML(false)
		if err := encoder.Encode(line); err != nil {
			return fmt.Errorf("print JSON: %w", err)
		}
		return nil
	}
	sayf(a.out, "%s", printable(moment(line.At)+"  "+line.CustomerID+"  "+line.Name+what.text(line)))
	return a.out.failed()
}

// alertName returns the type of the alert in a subject.
func alertName(subject string) string {
	parts := strings.Split(strings.TrimPrefix(subject, bus.AlertSubjects), ".")
	if len(parts) != 3 { //nolint:mnd // <severity>.<type>.<customer>
		return ""
	}
	return parts[1]
}

// eventText returns the event's data in one line.
func eventText(line tailLine) string {
	var compact bytes.Buffer
	if line.Data == nil || json.Compact(&compact, line.Data) != nil {
		return "  (no JSON)"
	}
	return "  " + compact.String()
}

func alertText(line tailLine) string {
	var alert rollcallv1.Alert
	if rollcallv1.Read(line.Data, &alert) != nil {
		return eventText(line)
	}
	state := "raised"
	if alert.GetCleared() {
		state = "cleared"
	}
	words := "  " + alert.GetSeverity() + " " + state + "  " + alert.GetText()
	if alert.GetRemedy() != "" {
		words += "  " + alert.GetRemedy()
	}
	return words
}

// printable keeps what anybody may publish from moving the cursor of a terminal, or from breaking a line.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, text)
}
