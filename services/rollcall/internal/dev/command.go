// Package dev is `rollcall dev`: everything that rollcall needs, started on one machine and kept in one folder.
//
// It owns the folder .rollcall and what runs from it: a NATS server inside this process, a Postgres and every
// service as child processes, and a sandbox that stands in for VOMO and a CRM. It promises that a second start
// continues with the same data, that only one process runs in a folder, that a child that ends is started again, that
// Ctrl-C ends everything in an order in which nothing is lost, and that no child stays if this process is killed. With
// --demo it onboards a customer, compares source and destination record by record, and ends with the result. With
// --demo-giving it does that with donations, in a folder of its own, in which four days pass.
//
// It is for trying out and for development: one machine, loopback addresses, invented people. Each start does the same
// as `rollcall migrate`. It is not for a real installation.
package dev

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"rollcall.dev/pkg/giving/dailyreport"
)

// options are the flags of the command.
type options struct {
	dir         string
	bin         string
	natsPort    int
	sandboxPort int
	users       int
	usersGiven  bool
	demo        bool
	demoGiving  bool
	quiet       bool
	verbose     bool
	deadline    time.Duration
	printReport func(dailyreport.Report) error
}

const (
	usualDir         = ".rollcall"
	usualNATSPort    = 4222
	usualSandboxPort = 9090
	usualWebhookPort = 9191
	usualConsolePort = 8088
	usualUsers       = 1_000
	mostUsers        = 1_000_000 // the sandbox accepts no larger organisation
	usualDeadline    = 10 * time.Minute
)

// Command returns `rollcall dev`. It ends without an error after Ctrl-C, and after a demonstration that mirrored all
// users without a difference, or in which each donation became what it should. printReport prints the report of giving.
func Command(printReport func(dailyreport.Report) error) *cobra.Command {
	var opts options
	command := &cobra.Command{
		Use:   "dev",
		Short: "start everything on this machine: NATS, Postgres, a sandbox and every service",
		Long: `Starts a NATS server, a Postgres, a sandbox that stands in for VOMO and a CRM, and every service, with
their data in .rollcall/ under the working directory. Ctrl-C stops all; a second start continues with the same
data. The services take their settings, such as VOMO_REQUESTS_PER_MINUTE, from the environment.`,
		Args:         cobra.NoArgs,
		SilenceUsage: true,
		PreRunE:      func(*cobra.Command, []string) error { return opts.check() }, // invalid flags fail before any work
		RunE: func(command *cobra.Command, _ []string) error {
			opts.usersGiven = command.Flags().Changed("users")
			ctx, hurry, stop := interruptible(command.Context())
			defer stop()
			opts.printReport = printReport
			// These are the process's own streams, because a terminal has the bar and the colours.
			return run(ctx, hurry, opts, newScreen(os.Stdout, os.Stderr, opts.hidesLogs()), os.Environ())
		},
	}
	flags := command.Flags()
	flags.StringVar(&opts.dir, "dir", usualDir, "folder for all data")
	flags.StringVar(&opts.bin, "bin", "", "folder with the services' programs (default: that of this program)")
	const portHelp = "port of %s (default: that of the last time, else %d or the next free one)"
	flags.IntVar(&opts.natsPort, "nats-port", 0, fmt.Sprintf(portHelp, "NATS", usualNATSPort))
	flags.IntVar(&opts.sandboxPort, "sandbox-port", 0, fmt.Sprintf(portHelp, "the sandbox", usualSandboxPort))
	flags.IntVar(&opts.users, "users", usualUsers, "users of the organisation demo, when the folder is new")
	flags.BoolVar(&opts.demo, "demo", false, "onboard the organisation demo, compare it with its mirror, and end")
	flags.BoolVar(&opts.demoGiving, "demo-giving", false,
		"send donations to the sandbox's Virtuous, follow them for four days on a clock that is moved, and end; in a folder that is removed then")
	flags.BoolVar(&opts.quiet, "quiet", false, "don't show the services' logs; they are in the folder's logs/")
	flags.BoolVar(&opts.verbose, "verbose", false, "show the services' logs with --demo too")
	flags.DurationVar(&opts.deadline, "deadline", usualDeadline, "with --demo or --demo-giving: how long it may take in all")
	command.MarkFlagsMutuallyExclusive("quiet", "verbose")
	command.MarkFlagsMutuallyExclusive("demo", "demo-giving")
	command.MarkFlagsMutuallyExclusive("dir", "demo-giving") // in a folder that is used again, the clock would be wrong
	return command
}

func (o options) check() error {
	switch {
	case o.dir == "":
		return errors.New("--dir must name a folder")
	case o.natsPort < 0 || o.natsPort > highestPort:
		return fmt.Errorf("--nats-port must be 1 to %d", highestPort)
	case o.sandboxPort < 0 || o.sandboxPort > highestPort:
		return fmt.Errorf("--sandbox-port must be 1 to %d", highestPort)
	case o.users < 1 || o.users > mostUsers:
		return fmt.Errorf("--users must be 1 to %d", mostUsers)
	case o.deadline <= 0:
		return errors.New("--deadline must be above 0")
	}
	return nil
}

// hidesLogs reports whether the services' logs are not shown. A demonstration shows them only with --verbose.
func (o options) hidesLogs() bool { return o.quiet || o.isDemo() && !o.verbose }

func (o options) isDemo() bool { return o.demo || o.demoGiving }
