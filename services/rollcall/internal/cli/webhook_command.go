package cli

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/operatorclient"
)

// virtuousTimeout is longer than the services' own timeout: they ask Virtuous.
const virtuousTimeout = 30 * time.Second

func (a *app) webhook() *cobra.Command {
	command := &cobra.Command{
		Use:   "webhook",
		Short: "Have Virtuous send a customer's gifts and contacts, and see that it does",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return usage("say which: webhook add, ls, verify, rotate, rm or replay")
		},
	}
	command.AddCommand(a.webhookLs(), a.webhookVerify(), a.webhookRm(), a.webhookReplay(),
		a.changeWebhook("add", "Create the webhook subscription of a customer at Virtuous",
			`Creates the customer's webhook subscription at Virtuous, which then sends gifts and contacts to WEBHOOK_PUBLIC_URL. The customer gets
a secret unless it has one. Virtuous cannot list its subscriptions: if its answer is lost, the command fails, and can be run again.
What the lost subscription sends is applied once. webhook verify names it.`, "created"),
		a.changeWebhook("rotate", "Give a customer's webhook subscription another secret",
			`Gives the webhook subscription another secret, and sends its address and events again. Deliveries that are signed with the secret
before are accepted until Virtuous has the new one, and for 24 hours after that. If the command fails, run it again.`, "has another secret"))
	return command
}

// changeWebhook is a command that answers with the subscription.
func (a *app) changeWebhook(verb, short, long, done string) *cobra.Command {
	return &cobra.Command{
		Use:   verb + " <customer>",
		Short: short,
		Long:  long,
		Args:  cobra.ExactArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			return askOne(command.Context(), a, args[0], question[operatorapi.WebhookQuestion, operatorapi.Webhook]{
				noun: "webhooks", verb: verb, of: operatorapi.WebhookQuestion{CustomerID: args[0]},
				print: func(changed operatorapi.Webhook) error {
					sayf(a.out, "%s: webhook subscription %s %s: %s", args[0], virtuousID(changed.WebhookID), done, changed.PayloadURL)
					return nil
				},
			})
		},
	}
}

// question is a question about one customer whose answer is printed at once.
type question[Question, Reply any] struct {
	noun, verb string
	of         Question
	unknown    string // what is said if there is no such thing; "": that the customer is not known
	print      func(reply Reply) error
	failure    func(reply Reply) error // why the command fails although there is an answer, also with --json; nil: it never does
}

// askOne asks a question whose answer may take as long as one of Virtuous.
func askOne[Question, Reply any](ctx context.Context, a *app, customer string, q question[Question, Reply]) error {
	on, err := a.connect()
	if err != nil {
		return err
	}
	defer on.close()
	on.Timeout = max(on.Timeout, virtuousTimeout)
	reply, err := ask[Question, Reply](ctx, on, q.noun, q.verb, q.of)
	switch {
	case operatorclient.IsUnknown(err) && q.unknown != "":
		return fmt.Errorf("customer %q %s", customer, q.unknown)
	case err != nil:
		return customerError(customer, err)
	case a.json:
		err = a.document(reply)
	default:
		err = q.print(reply)
	}
	if err != nil || q.failure == nil {
		return err
	}
	return q.failure(reply)
}

// virtuousID prints an id that may not be known.
func virtuousID(id *int64) string {
	if id == nil {
		return "-"
	}
	return strconv.FormatInt(*id, 10)
}

func (a *app) webhookLs() *cobra.Command {
	return &cobra.Command{
		Use:     "ls <customer>",
		Aliases: []string{"list"},
		Short:   "List a customer's webhook subscriptions, also those that ended, newest first",
		Args:    cobra.ExactArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			return askOne(command.Context(), a, args[0], question[operatorapi.WebhookQuestion, operatorapi.WebhooksReply]{
				noun: "webhooks", verb: "ls", of: operatorapi.WebhookQuestion{CustomerID: args[0]},
				print: func(reply operatorapi.WebhooksReply) error {
					return printList(a, listing[operatorapi.Webhook]{
						columns: []any{"ID", "AT VIRTUOUS", "STATE", "REQUESTED", "VERIFIED", "DIFFERS", "ERROR", "ADDRESS"},
						items:   reply.Webhooks, row: webhookRow, none: "There is no webhook subscription.",
					})
				},
			})
		},
	}
}

func webhookRow(one operatorapi.Webhook) []any {
	differs := strings.Join(one.Differences, ", ")
	if differs == "" {
		differs = "-"
	}
	return []any{
		one.ID, virtuousID(one.WebhookID), one.State, moment(one.RequestedAt), momentOr(one.VerifiedAt), differs, text(one.LastError), one.PayloadURL,
	}
}

func (a *app) webhookVerify() *cobra.Command {
	return &cobra.Command{
		Use:   "verify <customer>",
		Short: "Compare the webhook subscription with what Virtuous has",
		Long: `Compares the webhook subscription's address, events, activity and secret with what Virtuous has, and names subscriptions that Virtuous
may still have although they are not in use. It exits 1 if something differs, or if there is no subscription.`,
		Args: cobra.ExactArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			return askOne(command.Context(), a, args[0], question[operatorapi.WebhookQuestion, operatorapi.WebhookVerified]{
				noun: "webhooks", verb: "verify", of: operatorapi.WebhookQuestion{CustomerID: args[0]},
				print: func(reply operatorapi.WebhookVerified) error {
					for _, orphan := range reply.Orphans {
						sayf(a.out, "%s: Virtuous may still have subscription %s, requested %s: its id is - if the answer was lost. "+
							"Delete it in Virtuous, under Settings, Webhooks.", args[0], virtuousID(orphan.WebhookID), moment(orphan.RequestedAt))
					}
					if differing(args[0], reply) == nil {
						sayf(a.out, "%s: webhook subscription %s is at Virtuous as it should be", args[0], virtuousID(reply.Webhook.WebhookID))
					}
					return nil
				},
				failure: func(reply operatorapi.WebhookVerified) error { return differing(args[0], reply) },
			})
		},
	}
}

// differing returns what is wrong with a customer's webhook subscription.
func differing(customer string, found operatorapi.WebhookVerified) error {
	switch {
	case found.Webhook == nil:
		return fmt.Errorf("customer %q has no webhook subscription: rollcall webhook add %s", customer, customer)
	case len(found.Differences) > 0:
		return fmt.Errorf("webhook subscription %s differs at Virtuous: %s; rollcall webhook rotate %s sends it again, and rm and add make another",
			virtuousID(found.Webhook.WebhookID), strings.Join(found.Differences, ", "), customer)
	}
	return nil
}

func (a *app) webhookRm() *cobra.Command {
	return &cobra.Command{
		Use:   "rm <customer>",
		Short: "Delete a customer's webhook subscription at Virtuous",
		Long: `Deletes the webhook subscription at Virtuous. Deliveries that are on their way are accepted. What changes at Virtuous from then on is
found by reconciliations alone. If the command fails, run it again.`,
		Args: cobra.ExactArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			return askOne(command.Context(), a, args[0], question[operatorapi.WebhookQuestion, operatorapi.WebhooksReply]{
				noun: "webhooks", verb: "rm", of: operatorapi.WebhookQuestion{CustomerID: args[0]},
				print: func(reply operatorapi.WebhooksReply) error {
					for _, one := range reply.Webhooks {
						sayf(a.out, "%s: webhook subscription %s deleted", args[0], virtuousID(one.WebhookID))
					}
					return nil
				},
			})
		},
	}
}

func (a *app) webhookReplay() *cobra.Command {
	var from, to string
	command := &cobra.Command{
		Use:   "replay <customer>",
		Short: "Apply deliveries again that are in the inbox",
		Long: `Applies webhook deliveries again that were received from a time on (--from, a time or an age such as 7d) until another (--to; by default
now). A version that is known changes nothing. Deliveries are kept for WEBHOOK_INBOX_AGE.`,
		Example: "  rollcall webhook replay acme --from 2d",
		Args:    cobra.ExactArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			asked := operatorapi.WebhookReplay{CustomerID: args[0]}
			var err error
			if asked.From, asked.To, err = period(from, to, time.Now()); err != nil {
				return err
			}
			return a.replay(command.Context(), asked)
		},
	}
	command.Flags().StringVar(&from, "from", "", "received at this `time` or later: RFC 3339, a day, or an age such as 7d (required)")
	command.Flags().StringVar(&to, "to", "", "received before this `time`")
	return command
}

// replay asks for one batch after another.
func (a *app) replay(ctx context.Context, asked operatorapi.WebhookReplay) error {
	on, err := a.connect()
	if err != nil {
		return err
	}
	defer on.close()
	on.Timeout = max(on.Timeout, virtuousTimeout)
	whole := operatorapi.WebhookReplayed{}
	for {
		batch, err := ask[operatorapi.WebhookReplay, operatorapi.WebhookReplayed](ctx, on, "webhooks", "replay", asked)
		if err != nil {
			return customerError(asked.CustomerID, err)
		}
		whole.Parts, whole.Records = whole.Parts+batch.Parts, whole.Records+batch.Records
		if batch.Next == nil {
			break
		}
		asked.After = batch.Next
	}
	if a.json {
		return a.document(whole)
	}
	sayf(a.out, "%s: %s of deliveries with %s are applied again", asked.CustomerID, counted(whole.Parts, "part"), counted(whole.Records, "record"))
	return nil
}

// period reads --from and --to; from is required.
func period(from, to string, now time.Time) (begin, end time.Time, err error) {
	if from == "" {
		return begin, end, usage("--from is missing: a time, a day, or an age such as 7d")
	}
	if begin, err = pointInTime("--from", from, now); err != nil {
		return begin, end, err
	}
	end = now
	if to != "" {
		if end, err = pointInTime("--to", to, now); err != nil {
			return begin, end, err
		}
	}
	if !begin.Before(end) {
		return begin, end, usage("--from must be before --to")
	}
	return begin, end, nil
}

// pointInTime reads a time in RFC 3339, a day (UTC), or an age.
func pointInTime(flag, given string, now time.Time) (time.Time, error) {
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if at, err := time.Parse(layout, given); err == nil {
			return at, nil
		}
	}
	age, ok := parseAge(given)
	if !ok {
		return time.Time{}, usage("%s %q is no time such as 2026-11-20T08:00:00Z, no day such as 2026-11-20, and no age such as 7d", flag, given)
	}
	return now.Add(-time.Duration(age) * time.Second), nil
}
