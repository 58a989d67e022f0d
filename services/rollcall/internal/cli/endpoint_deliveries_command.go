package cli

import (
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"rollcall.dev/pkg/operatorapi"
)

func (a *app) endpointDeliveries() *cobra.Command {
	var asked listFlags
	var state string
	command := &cobra.Command{
		Use:   "deliveries <endpoint>",
		Short: "List what was sent to an endpoint, and what is to be sent, newest first",
		Long: `Lists the webhooks of an endpoint, with the status and the beginning of the last answer. Deliveries are kept for NOTIFICATIONS_AGE. An
answer may quote what belongs to a customer: a list with answers is audited.`,
		Example: "  rollcall endpoint deliveries 3 --state failed",
		Args:    cobra.ExactArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			id, err := endpointID(args[0])
			if err != nil {
				return err
			}
			if !slices.Contains([]string{"", "pending", "delivered", "failed"}, state) {
				return usage("there is no state %q: the states are pending, delivered and failed", state)
			}
			rows, err := asked.rows()
			if err != nil {
				return err
			}
			on, err := a.connect()
			if err != nil {
				return err
			}
			defer on.close()
			found, err := listDeliveries(command.Context(), on, operatorapi.EndpointDeliveriesQuestion{ID: id, State: state}, rows)
			switch {
			case err != nil:
				return endpointError(id, err)
			case a.json:
				return a.document(found)
			}
			return printList(a, listing[operatorapi.EndpointDelivery]{
				columns: []any{"CREATED", "CUSTOMER", "TOPIC", "STATE", "ATTEMPTS", "NEXT ATTEMPT", "STATUS", "WHY", "ANSWER", "WEBHOOK-ID"},
				items:   found.Deliveries, row: deliveryRow, none: "There is no such delivery.", more: found.Next != nil,
			})
		},
	}
	asked.add(command)
	command.Flags().StringVar(&state, "state", "", "only deliveries in this `state`: pending, delivered, failed")
	return command
}

func listDeliveries(ctx context.Context, on *link, question operatorapi.EndpointDeliveriesQuestion, rows int) (operatorapi.EndpointDeliveriesReply, error) {
	whole := operatorapi.EndpointDeliveriesReply{Deliveries: []operatorapi.EndpointDelivery{}}
	err := paged[operatorapi.EndpointDeliveriesQuestion, operatorapi.EndpointDeliveriesReply, operatorapi.EndpointPlace]{
		noun: "endpoints", verb: "deliveries", rows: rows, atOnce: endpointsPage,
		question: func(at operatorapi.EndpointPlace, rows int32) operatorapi.EndpointDeliveriesQuestion {
			if question.Limit = rows; at.ID != "" {
				question.Before = &at
			}
			return question
		},
		take: func(page operatorapi.EndpointDeliveriesReply) (int, *operatorapi.EndpointPlace, error) {
			whole.Deliveries, whole.Next = append(whole.Deliveries, page.Deliveries...), page.Next
			return len(page.Deliveries), page.Next, nil
		},
	}.ask(ctx, on)
	return whole, err
}

func deliveryRow(one operatorapi.EndpointDelivery) []any {
	status := "-"
	if one.Status != nil {
		status = strconv.Itoa(*one.Status)
	}
	return []any{
		moment(one.CreatedAt), one.CustomerID, one.Topic, one.State, one.Attempts, momentOr(one.NextAttemptAt), status, textOr(one.Code, "-"),
		textOr(one.Answer, "-"), one.ID,
	}
}

func (a *app) endpointReplay() *cobra.Command {
	var since string
	command := &cobra.Command{
		Use:   "replay <endpoint>",
		Short: "Send again what an endpoint got, or should have got, since a time",
		Long: `Sends all webhooks of an endpoint again that were added since a time (--since, a time or an age such as 3d), whether they were delivered or
not. Each has the webhook-id that it had, so that the receiver recognises what it has.`,
		Example: "  rollcall endpoint replay 3 --since 2d",
		Args:    cobra.ExactArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			id, err := endpointID(args[0])
			if err != nil {
				return err
			}
			if since == "" {
				return usage("--since is missing: a time, a day, or an age such as 3d")
			}
			question := operatorapi.EndpointReplay{ID: id}
			if question.Since, err = pointInTime("--since", since, time.Now()); err != nil {
				return err
			}
			return a.replayEndpoint(command.Context(), question)
		},
	}
	command.Flags().StringVar(&since, "since", "", "added at this `time` or later: RFC 3339, a day, or an age such as 3d (required)")
	return command
}

// replayEndpoint asks for one batch after another.
func (a *app) replayEndpoint(ctx context.Context, question operatorapi.EndpointReplay) error {
	on, err := a.connect()
	if err != nil {
		return err
	}
	defer on.close()
	whole := operatorapi.EndpointReplayed{}
	for {
		batch, err := ask[operatorapi.EndpointReplay, operatorapi.EndpointReplayed](ctx, on, "endpoints", "replay", question)
		if err != nil {
			return endpointError(question.ID, err)
		}
		whole.Seen, whole.Replayed = whole.Seen+batch.Seen, whole.Replayed+batch.Replayed
		if batch.Next == nil {
			break
		}
		question.After = batch.Next
	}
	if a.json {
		return a.document(whole)
	}
	sayf(a.out, "endpoint %d: %s sent again, of %d", question.ID, counted(whole.Replayed, "webhook"), whole.Seen)
	return nil
}
