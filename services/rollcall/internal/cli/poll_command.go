package cli

import (
	"context"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/report"
	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

func (a *app) poll() *cobra.Command {
	command := &cobra.Command{
		Use:   "poll",
		Short: "Poll a customer now",
		Args:  cobra.NoArgs,
		RunE:  func(*cobra.Command, []string) error { return usage("say which: poll now <customer>") },
	}
	command.AddCommand(a.runNow(onDemandRun{
		noun: "poll", service: "poller", short: "Ask for a poll at once, whatever the schedule says",
		long: `Asks for a poll at once, whatever the schedule says: users that changed at VOMO since the checkpoint are written
to the destination. If a poll is under way or requested already, nothing is added. The command fails for a
customer that is paused, switched off, or not through its first backfill. With --wait it exits 0 when a poll has succeeded,
1 when it failed.`,
		publish: func(ctx context.Context, on *link, customer string) (requested, error) {
			return a.request(ctx, on, customer, bus.SubjectPoll(customer), &rollcallv1.PollRequest{CustomerId: customer})
		},
		runs: func(status report.Status) (*report.EndedRun, *report.OpenRun) {
			return status.Polling.LastRun, status.Polling.OpenRun
		},
		result: func(_ report.Status, run report.EndedRun) string { return counts(run) },
	}))
	return command
}

// counts says how many users a run read, and how many were rejected.
func counts(run report.EndedRun) string {
	text := counted(run.Processed, "user") + " read"
	if run.Failures > 0 {
		text += ", " + humanize.Comma(run.Failures) + " rejected"
	}
	return text
}

// requested is the result of a request.
type requested struct {
	CustomerID string `json:"customerId"`
	Subject    string `json:"subject"`
	// AlreadyRequested: the stream holds such a request already, waiting or in work.
	AlreadyRequested bool             `json:"alreadyRequested"`
	Run              *report.EndedRun `json:"run"` // with --wait: as it ended
}
