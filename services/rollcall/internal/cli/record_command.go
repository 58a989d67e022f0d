package cli

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"rollcall.dev/pkg/operatorapi"
)

// errRecordActs means that something has to be done about a record; the cause is printed.
var errRecordActs = errors.New("something has to be done about the record")

func (a *app) record() *cobra.Command {
	var fix bool
	command := &cobra.Command{
		Use:   "record <customer> gift|contact|user <id>",
		Short: "Say where one record is: every hop, its state, the probable cause, and what to do",
		Long: `Answers where a customer's gift, contact or user is: what happened to it, its present state, the probable cause, and the next action. Gifts and
contacts are looked up in Virtuous, unless the customer is paused or its giving is held. Nothing of a person is shown.

  gift <id>     the platform's id of a donation, or the id of a gift at Virtuous; both if the id is one of each
  contact <id>  the id of a contact at Virtuous, or the platform's reference; both if it is one of each
  user <id>     the id of a user in VOMO

With --fix it does what the cause calls for if that is safe: it applies the gift or contact that Virtuous has, which confirms the donation or the
platform's contact, or the deletion of a gift; a user is read from VOMO and written to the destination. Without --fix nothing is changed. It exits 0
if nothing has to be done, 1 otherwise. The runbook is in docs/giving.md, under "Where is my record?".`,
		Example: "  rollcall record acme gift don-77120\n  rollcall record acme contact donor-310 --fix",
		Args:    cobra.ExactArgs(3),
		RunE: func(command *cobra.Command, args []string) error {
			question := operatorapi.TraceQuestion{CustomerID: args[0], Kind: args[1], RecordID: args[2]}
			switch question.Kind {
			case operatorapi.TraceGift, operatorapi.TraceContact, operatorapi.TraceUser:
			default:
				return usage("%q is no kind of record: say gift, contact or user", args[1])
			}
			return a.runRecord(command.Context(), question, fix)
		},
	}
	command.Flags().BoolVar(&fix, "fix", false, "do what the cause calls for, if that is safe")
	return command
}

func (a *app) runRecord(ctx context.Context, question operatorapi.TraceQuestion, fix bool) error {
	on, err := a.connect()
	if err != nil {
		return err
	}
	defer on.close()
	on.Timeout = max(on.Timeout, virtuousTimeout)
	reply, err := askRecord(ctx, on, question, fix)
	if err != nil {
		return customerError(question.CustomerID, err)
	}
	if a.json {
		err = a.document(reply)
	} else {
		err = a.printTraces(reply)
	}
	if err != nil {
		return err
	}
	for _, trace := range reply.Traces {
		if trace.Cause.State == operatorapi.CauseAct {
			return fmt.Errorf("%s: %s %s: %w: %s", question.CustomerID, question.Kind, question.RecordID, errRecordActs, trace.Cause.Code)
		}
	}
	return nil
}

// askRecord asks the service that has the record, and has it fixed if that is wanted.
func askRecord(ctx context.Context, on *link, question operatorapi.TraceQuestion, fix bool) (operatorapi.TraceReply, error) {
	if question.Kind != operatorapi.TraceUser {
		verb := "show"
		if fix {
			verb = "fix"
		}
		return ask[operatorapi.TraceQuestion, operatorapi.TraceReply](ctx, on, "record", verb, question)
	}
	reply, err := ask[operatorapi.TraceQuestion, operatorapi.TraceReply](ctx, on, "users", "show", question)
	if err != nil || !fix || len(reply.Traces) == 0 || !reply.Traces[0].Cause.Fixable {
		return reply, err
	}
	result, err := ask[operatorapi.ResyncQuestion, operatorapi.Resync](ctx, on, "users", "resync",
		operatorapi.ResyncQuestion{CustomerID: question.CustomerID, VomoID: question.RecordID})
	if err != nil {
		return reply, err
	}
	if reply, err = ask[operatorapi.TraceQuestion, operatorapi.TraceReply](ctx, on, "users", "show", question); err == nil && len(reply.Traces) > 0 {
		reply.Traces[0].Fixed = new(resyncText(result))
	}
	return reply, err
}

func (a *app) printTraces(reply operatorapi.TraceReply) error {
	if len(reply.Traces) > 1 {
		sayf(a.out, "%s %s may mean %d records:\n", reply.Kind, reply.RecordID, len(reply.Traces))
	}
	for i, trace := range reply.Traces {
		if i > 0 {
			sayf(a.out, "")
		}
		if err := a.printTrace(reply, trace); err != nil {
			return err
		}
	}
	return nil
}

func (a *app) printTrace(reply operatorapi.TraceReply, trace operatorapi.Trace) error {
	lines := a.table()
	lines.row(reply.Kind+" "+reply.RecordID, foundWords(trace.FoundAs))
	for _, one := range []struct {
		name string
		text *string
	}{
		{"at the platform", trace.PlatformRecordID}, {"state", trace.State}, {"stored as", trace.HeldState}, {"sync state", trace.SyncState},
	} {
		if one.text != nil {
			lines.row("  "+one.name, *one.text)
		}
	}
	if trace.VirtuousRecordID != nil {
		lines.row("  at Virtuous", strconv.FormatInt(*trace.VirtuousRecordID, 10))
	}
	if trace.Lookup != nil {
		lines.row("  lookup", lookupWords(*trace.Lookup))
	}
	if err := lines.end(); err != nil {
		return err
	}
	if len(trace.Timeline) > 0 {
		sayf(a.out, "\ntimeline")
		hops := a.table()
		for _, hop := range trace.Timeline {
			hops.row("  "+moment(hop.At), hop.Hop, hopWords(hop))
		}
		if err := hops.end(); err != nil {
			return err
		}
	}
	cause := trace.Cause
	sayf(a.out, "\ncause  %s (%s)\n  %s", cause.Code, cause.State, cause.Text)
	if trace.Fixed != nil {
		sayf(a.out, "fixed\n  %s", *trace.Fixed)
	}
	sayf(a.out, "next\n  %s", cause.Next)
	if cause.Command != nil {
		sayf(a.out, "  %s", *cause.Command)
	}
	return nil
}

// foundWords says what an id was found as.
func foundWords(as *string) string {
	if as == nil {
		return "is not known here"
	}
	said := map[string]string{
		operatorapi.FoundAsDonation: "is the platform's id of a donation", operatorapi.FoundAsGift: "is the id of a gift at Virtuous",
		operatorapi.FoundAsContact: "is the id of a contact at Virtuous", operatorapi.FoundAsReference: "is the platform's reference of a contact",
		operatorapi.FoundAsUser: "is the id of a user in VOMO",
	}[*as]
	if said == "" {
		return *as // a newer service's
	}
	return said
}

func lookupWords(lookup operatorapi.TraceLookup) string {
	said := map[string]string{
		operatorapi.LookupFound: "Virtuous has it", operatorapi.LookupNotFound: "Virtuous does not have it (404)",
		operatorapi.LookupUnclear: "Virtuous did not say", operatorapi.LookupNotAsked: "Virtuous was not asked",
	}[lookup.Outcome]
	if said == "" {
		said = lookup.Outcome // a newer service's
	}
	if len(lookup.ChangedFields) > 0 {
		said += ", with other values in " + strings.Join(lookup.ChangedFields, ", ")
	}
	if lookup.Reason != nil {
		said += ": " + *lookup.Reason
	}
	return said
}

// hopWords is what is said of a hop.
func hopWords(hop operatorapi.TraceHop) string {
	said := hop.Text
	var more []string
	if hop.Status != nil {
		more = append(more, "status "+strconv.Itoa(*hop.Status))
	}
	if hop.Code != nil && !strings.Contains(said, *hop.Code) {
		more = append(more, *hop.Code)
	}
	if hop.RequestID != nil {
		more = append(more, "request "+*hop.RequestID)
	}
	if hop.By != nil {
		more = append(more, "by "+*hop.By)
	}
	if len(more) > 0 {
		said += " (" + strings.Join(more, ", ") + ")"
	}
	return said
}
