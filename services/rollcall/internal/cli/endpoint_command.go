package cli

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/operatorclient"
)

func (a *app) endpoint() *cobra.Command {
	command := &cobra.Command{
		Use:   "endpoint",
		Short: "Send what happens to customers to a partner's backend as webhooks",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return usage("say which: endpoint add, ls, show, set, rm, rotate, test, deliveries or replay")
		},
	}
	command.AddCommand(a.endpointAdd(), a.endpointLs(), a.endpointShow(), a.endpointSet(), a.endpointRm(), a.endpointRotate(), a.endpointTest(),
		a.endpointDeliveries(), a.endpointReplay())
	return command
}

// endpointID reads the id of an endpoint.
func endpointID(given string) (int64, error) {
	id, err := strconv.ParseInt(given, 10, 64)
	if err != nil || id < 1 {
		return 0, usage("%q is no endpoint: rollcall endpoint ls lists them with their ids", given)
	}
	return id, nil
}

// endpointError says which endpoint a service's error is about.
func endpointError(id int64, err error) error {
	if operatorclient.IsUnknown(err) {
		return fmt.Errorf("endpoint %d is not known: rollcall endpoint ls lists those that are", id)
	}
	return customerError("", err)
}

// askEndpoint asks a question about one endpoint, and prints the answer.
func askEndpoint[Question, Reply any](ctx context.Context, a *app, given, verb string, question func(id int64) Question,
	show func(reply Reply) error,
) error {
	id, err := endpointID(given)
	if err != nil {
		return err
	}
	on, err := a.connect()
	if err != nil {
		return err
	}
	defer on.close()
	on.Timeout = max(on.Timeout, testTimeout)
	reply, err := ask[Question, Reply](ctx, on, "endpoints", verb, question(id))
	switch {
	case err != nil:
		return endpointError(id, err)
	case a.json:
		return a.document(reply)
	}
	return show(reply)
}

func byID(id int64) operatorapi.EndpointQuestion { return operatorapi.EndpointQuestion{ID: id} }

func (a *app) endpointAdd() *cobra.Command {
	added := operatorapi.EndpointAdd{}
	command := &cobra.Command{
		Use:   "add <url>",
		Short: "Add an endpoint, and print its secret",
		Long: `Adds an endpoint: events and alerts about customers' lifecycles are sent to the URL from now on, signed by the Standard Webhooks
specification. Topics are names of events (backfill.completed) and types of alerts (auth_failed); without --topics it gets all about any
customer's lifecycle. The secret is printed once.`,
		Example: "  rollcall endpoint add https://hooks.example.org/rollcall\n" +
			"  rollcall endpoint add https://hooks.example.org/rollcall --customer acme --topics backfill.completed,auth_failed",
		Args: cobra.ExactArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			added.URL = args[0]
			on, err := a.connect()
			if err != nil {
				return err
			}
			defer on.close()
			reply, err := ask[operatorapi.EndpointAdd, operatorapi.EndpointSecret](command.Context(), on, "endpoints", "add", added)
			switch {
			case err != nil:
				return customerError(added.CustomerID, err)
			case a.json:
				return a.document(reply)
			}
			sayf(a.out, "endpoint %d added: %s gets %s of %s", reply.Endpoint.ID, reply.Endpoint.Host, topicsText(reply.Endpoint), customerText(reply.Endpoint))
			sayf(a.out, "secret, which is not shown again: %s", reply.Secret)
			return nil
		},
	}
	command.Flags().StringVar(&added.CustomerID, "customer", "", "only what concerns this `customer`")
	command.Flags().StringSliceVar(&added.Topics, "topics", nil,
		"`names` of events and types of alerts, comma-separated (default *: all about customers' lifecycles)")
	return command
}

func topicsText(one operatorapi.Endpoint) string { return strings.Join(one.Topics, ", ") }

func customerText(one operatorapi.Endpoint) string { return textOr(one.CustomerID, "all customers") }

func (a *app) endpointLs() *cobra.Command {
	return a.lister("List endpoints", func(ctx context.Context, on *link, rows int) error {
		whole := operatorapi.EndpointsReply{Endpoints: []operatorapi.Endpoint{}}
		err := paged[operatorapi.EndpointsQuestion, operatorapi.EndpointsReply, int64]{
			noun: "endpoints", verb: "ls", rows: rows, atOnce: endpointsPage,
			question: func(at int64, rows int32) operatorapi.EndpointsQuestion {
				return operatorapi.EndpointsQuestion{After: at, Limit: rows}
			},
			take: func(page operatorapi.EndpointsReply) (int, *int64, error) {
				whole.Endpoints, whole.Next = append(whole.Endpoints, page.Endpoints...), page.Next
				return len(page.Endpoints), page.Next, nil
			},
		}.ask(ctx, on)
		switch {
		case err != nil:
			return err
		case a.json:
			return a.document(whole)
		}
		return printList(a, listing[operatorapi.Endpoint]{
			columns: []any{"ID", "CUSTOMER", "STATE", "SINCE", "NEXT ATTEMPT", "HOST", "TOPICS"},
			items:   whole.Endpoints, row: endpointRow, none: "There is no endpoint: rollcall endpoint add <url>.", more: whole.Next != nil,
		})
	})
}

// endpointsPage is the most endpoints, or deliveries, that the service gives in one page.
const endpointsPage = 200

func endpointRow(one operatorapi.Endpoint) []any {
	since := one.CreatedAt
	switch {
	case one.DisabledAt != nil:
		since = *one.DisabledAt
	case one.FailingSince != nil:
		since = *one.FailingSince
	}
	return []any{one.ID, textOr(one.CustomerID, "*"), endpointState(one), moment(since), momentOr(one.NextAttemptAt), one.Host, topicsText(one)}
}

func endpointState(one operatorapi.Endpoint) string {
	if one.DisabledReason != nil {
		return one.State + " (" + *one.DisabledReason + ")"
	}
	return one.State
}

func (a *app) endpointShow() *cobra.Command {
	return &cobra.Command{
		Use:   "show <endpoint>",
		Short: "Show an endpoint",
		Args:  cobra.ExactArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			return askEndpoint(command.Context(), a, args[0], "show", byID, func(one operatorapi.Endpoint) error {
				lines := a.table()
				lines.row("endpoint", one.ID)
				lines.row("host", one.Host)
				lines.row("customer", customerText(one))
				lines.row("topics", topicsText(one))
				lines.row("state", endpointState(one))
				lines.row("created", moment(one.CreatedAt))
				lines.row("disabled", momentOr(one.DisabledAt))
				lines.row("failing since", momentOr(one.FailingSince))
				lines.row("failed attempts since the last success", one.FailedAttempts)
				lines.row("next attempt", momentOr(one.NextAttemptAt))
				lines.row("secret before the rotation signs until", momentOr(one.PreviousSecretUntil))
				return lines.end()
			})
		},
	}
}

func (a *app) endpointSet() *cobra.Command {
	var change operatorapi.EndpointChange
	var enable, disable bool
	command := &cobra.Command{
		Use:   "set <endpoint>",
		Short: "Change an endpoint",
		Long: `Changes an endpoint. One that answered 410 is disabled until --enable. While it is disabled nothing is sent, and what it would have got
can be replayed.`,
		Example: "  rollcall endpoint set 3 --enable\n  rollcall endpoint set 3 --topics backfill.completed,auth_failed",
		Args:    cobra.ExactArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			if enable || disable {
				change.Enabled = &enable
			}
			if change.Enabled == nil && change.URL == "" && len(change.Topics) == 0 {
				return usage("say what is to be changed: --url, --topics, --enable or --disable")
			}
			return askEndpoint(command.Context(), a, args[0], "set", func(id int64) operatorapi.EndpointChange {
				change.ID = id
				return change
			}, func(one operatorapi.Endpoint) error {
				sayf(a.out, "endpoint %d is %s: %s gets %s of %s", one.ID, endpointState(one), one.Host, topicsText(one), customerText(one))
				return nil
			})
		},
	}
	command.Flags().StringVar(&change.URL, "url", "", "another `address`; the secret stays")
	command.Flags().StringSliceVar(&change.Topics, "topics", nil, "other `names` of events and types of alerts, or *")
	command.Flags().BoolVar(&enable, "enable", false, "send again")
	command.Flags().BoolVar(&disable, "disable", false, "send nothing until --enable")
	command.MarkFlagsMutuallyExclusive("enable", "disable")
	return command
}

func (a *app) endpointRm() *cobra.Command {
	return &cobra.Command{
		Use:   "rm <endpoint>",
		Short: "Remove an endpoint, with what is still to be sent to it",
		Args:  cobra.ExactArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			return askEndpoint(command.Context(), a, args[0], "rm", byID, func(one operatorapi.Endpoint) error {
				sayf(a.out, "endpoint %d removed: %s", one.ID, one.Host)
				return nil
			})
		},
	}
}

func (a *app) endpointRotate() *cobra.Command {
	var keep time.Duration
	command := &cobra.Command{
		Use:   "rotate <endpoint>",
		Short: "Give an endpoint another secret, and print it",
		Long: `Gives an endpoint another secret, which is printed once. Until --keep has passed, webhooks are signed with both secrets, so that the
receiver can change it in the meantime.`,
		Args: cobra.ExactArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			return askEndpoint(command.Context(), a, args[0], "rotate", func(id int64) operatorapi.EndpointRotation {
				return operatorapi.EndpointRotation{ID: id, KeepSeconds: new(int64(keep / time.Second))}
			}, func(rotated operatorapi.EndpointSecret) error {
				sayf(a.out, "endpoint %d has another secret; the one before signs too until %s", rotated.Endpoint.ID, momentOr(rotated.Endpoint.PreviousSecretUntil))
				sayf(a.out, "secret, which is not shown again: %s", rotated.Secret)
				return nil
			})
		},
	}
	command.Flags().DurationVar(&keep, "keep", 24*time.Hour, "how `long` the secret before signs too, at most 720h")
	return command
}

func (a *app) endpointTest() *cobra.Command {
	return &cobra.Command{
		Use:   "test <endpoint>",
		Short: "Send a test event to an endpoint, and print the answer",
		Long: `Sends the event endpoint.test to an endpoint at once, also to one that is disabled, and prints its answer. It fails if the endpoint does
not accept it.`,
		Args: cobra.ExactArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			var failure error
			err := askEndpoint(command.Context(), a, args[0], "test", byID, func(tested operatorapi.EndpointTested) error {
				sayf(a.out, "endpoint %s: %s%s", args[0], tested.Outcome, answerText(tested))
				if tested.Outcome != operatorapi.TestSent {
					failure = errors.New("the endpoint did not accept the test")
				}
				return nil
			})
			return errors.Join(err, failure)
		},
	}
}

// answerText is what an endpoint answered, or why there was no answer.
func answerText(tested operatorapi.EndpointTested) string {
	said := ""
	if tested.Status != nil {
		said = fmt.Sprintf(", it answered %d", *tested.Status)
	} else if tested.Code != "" {
		said = ", " + tested.Code
	}
	if tested.Answer != "" {
		said += ": " + tested.Answer
	}
	return said
}
