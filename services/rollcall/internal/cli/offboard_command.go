package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/operatorclient"
	"rollcall.dev/pkg/report"
	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

func (a *app) offboard() *cobra.Command {
	var force, dryRun bool
	command := &cobra.Command{
		Use:   "offboard <customer>",
		Short: "Ask to end a customer's mirror and destroy its credentials and its data key",
		Long: `Publishes the request to end a customer's mirror: it is switched off, its credentials and its data key are destroyed, and its
messages are deleted. The mapping, without addresses, is kept for OFFBOARD_RETENTION, so that a return needs no backfill.
Giving ends, too. On a terminal it asks first; elsewhere it needs --force, and so does a customer with donations that are not in
Virtuous yet: they are closed. --dry-run says what will go and when, or how far an offboarding is.`,
		Args: cobra.ExactArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			if dryRun {
				return a.showOffboarding(command.Context(), args[0])
			}
			return a.runOffboard(command.Context(), args[0], force)
		},
	}
	command.Flags().BoolVarP(&force, "force", "f", false, "do not ask")
	command.Flags().BoolVar(&dryRun, "dry-run", false, "say what will go and when, and change nothing")
	return command
}

func (a *app) runOffboard(ctx context.Context, customer string, force bool) error {
	request := &rollcallv1.OffboardRequest{CustomerId: customer}
	if errs := request.Validate(customer); len(errs) > 0 {
		return usage("this request would be rejected:%s", fieldErrors(errs))
	}
	if !force && !a.StdinTerminal {
		return usage("there is no terminal to ask on: --force offboards %q without asking", customer)
	}
	on, err := a.connect()
	if err != nil {
		return err
	}
	defer on.close()
	_, err = ask[report.StatusQuestion, json.RawMessage](ctx, on, "status", "get", report.StatusQuestion{CustomerID: customer})
	switch {
	case operatorclient.IsUnanswered(err):
		// The stream keeps the request until the service is back; only a mistyped name is not noticed.
		sayf(a.log, "%v; whether %q is known could not be asked", err, customer)
	case err != nil:
		return customerError(customer, err)
	}
	if request.Force, err = a.confirmDonations(ctx, on, customer, force); err != nil {
		return err
	}
	if !force {
		warning := fmt.Sprintf("The mirror of %q ends, and its credentials and its data key are destroyed.", customer)
		if err := a.confirmTyping(ctx, customer, warning, "not offboarded"); err != nil {
			return err
		}
	}
	taken, err := on.PublishRequest(ctx, customer, bus.SubjectOffboard(customer), request)
	if err != nil {
		return err
	}
	a.progressLinef("%s: published as message %d of %s", customer, taken.Sequence, taken.Stream)
	if a.json {
		return a.document(taken)
	}
	return nil
}

// captureWait is how long donations that were published are waited for, until they are captured.
const captureWait = 10 * time.Second

// confirmDonations names donations that are not in Virtuous yet. Without force it is an error that there are some; with it, the request
// needs force, too. If the service does not answer, it finds out by itself.
func (a *app) confirmDonations(ctx context.Context, on *link, customer string, force bool) (needsForce bool, err error) {
	question := operatorapi.OffboardingQuestion{CustomerID: customer}
	var giving operatorapi.OffboardingGiving
	for waited := time.Duration(0); ; waited += time.Second {
		shown, err := ask[operatorapi.OffboardingQuestion, operatorapi.Offboarding](ctx, on, "offboardings", "get", question)
		if operatorclient.IsUnanswered(err) {
			return false, nil
		}
		if err != nil {
			return false, customerError(customer, err)
		}
		giving = shown.Giving
		if giving.Queued == 0 || waited >= captureWait {
			break
		}
		if a.WaitFunc(ctx, time.Second) != nil {
			return false, errInterrupted
		}
	}
	contacts := giving.PendingContacts + giving.SubmittedContacts
	if giving.Queued == 0 && giving.Pending == 0 && giving.Submitted == 0 && contacts == 0 {
		return false, nil
	}
	counts := fmt.Sprintf("%s donations are pending, %s are submitted and %s are not captured yet", humanize.Comma(giving.Pending),
		humanize.Comma(giving.Submitted), humanize.Comma(int64(giving.Queued))) //nolint:gosec // no stream has 2^63 messages
	if len(giving.Donations) > 0 {
		counts += ": " + strings.Join(giving.Donations, ", ")
	}
	if contacts > 0 {
		counts += fmt.Sprintf("; %s contacts are pending or submitted: %s", humanize.Comma(contacts), strings.Join(giving.Contacts, ", "))
	}
	if !force {
		return false, fmt.Errorf("%s. An offboarding closes them: wait until they are confirmed, or give --force", counts)
	}
	sayf(a.log, "%s: %s. The offboarding closes them", customer, counts)
	return true, nil
}

// confirmTyping asks to type the customer's id: a "y" is typed too easily for a change that cannot be undone.
func (a *app) confirmTyping(ctx context.Context, customer, warning, otherwise string) error {
	_, _ = fmt.Fprintf(a.log, "%s Type %s to go on: ", warning, customer)
	answer, err := await(ctx, func() (string, error) { return readLine(a.Stdin) })
	if err != nil {
		sayf(a.log, "")
		return fmt.Errorf("read the answer: %w", err)
	}
	if strings.TrimSpace(answer) != customer {
		return errors.New(otherwise)
	}
	return nil
}
