package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"rollcall.dev/pkg/operatoraudit"
	"rollcall.dev/pkg/service"
	"rollcall.dev/services/rollcall/internal/dev"
)

// Exit codes.
const (
	exitDone   = 0
	exitFailed = 1 // the thing asked for failed, or is unknown
	exitUsage  = 2
)

// app holds what all commands share.
type app struct {
	Process
	out, log *output // standard output and standard error
	json     bool
	as       string // --operator
	nats     natsFlags
	flags    *pflag.FlagSet // the persistent ones
}

// Run runs one command line and returns the exit status. It prints errors on standard error.
func Run(ctx context.Context, process Process) int {
	a := &app{Process: process, out: &output{to: process.Stdout}, log: &output{to: process.Stderr}}
	root := a.root()
	markRun(root)
	command, err := root.ExecuteContextC(ctx)
	if err == nil {
		err = failedToRun(a.out.failed())
	}
	if err == nil {
		return exitDone
	}
	sayf(a.log, "rollcall: %v", err)
	if isUsage(err) {
		sayf(a.log, "Run `%s --help` for what it takes.", command.CommandPath())
		return exitUsage
	}
	return exitFailed
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "rollcall",
		Short: "Mirror the people of VOMO organisations, and see that it is true",
		Long: `rollcall mirrors the people of VOMO organisations into other systems. This is the operator's command.

It talks to the services over NATS; migrate, dev, doctor and secrets rotate reach Postgres too. The NATS options and environment
variables are those of the nats command.`,
		Version:       service.Version,
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.SetArgs(append([]string{}, a.Args...)) // nil would mean os.Args
	root.SetIn(a.Stdin)
	root.SetOut(a.out)
	root.SetErr(a.log)
	a.flags = root.PersistentFlags()
	a.flags.BoolVarP(&a.json, "json", "j", false, "print one JSON document on standard output")
	a.flags.StringVar(&a.as, "operator", "", "`name` under which acts are audited (ROLLCALL_OPERATOR; default user@host)")
	a.nats.add(a.flags)
	root.AddCommand(a.migrate(), a.onboard(), a.offboard(), a.customer(), a.pause(), a.resume(), a.config(), a.backfill(), a.poll(),
		a.reconcile(), a.deletions(), a.donation(), a.gift(), a.contact(), a.webhook(), a.endpoint(), a.report(), a.record(), a.resync(),
		a.dlq(), a.drain(), a.review(), a.status(), a.alerts(), a.audit(), a.tail(), a.top(), a.key(), a.secrets(), a.token(), a.link(),
		a.doctor(), a.version(), a.initialise(), a.natsContext(), dev.Command(a.printGivingReport))
	return root
}

// usageError is a wrong use of a command: it leads to exit status 2.
type usageError struct{ error }

func usage(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// runError is an error of a command that ran. Every error that cobra returns before is about usage.
type runError struct{ error }

// Unwrap returns the error as the command returned it.
func (e runError) Unwrap() error { return e.error }

func failedToRun(err error) error {
	if err == nil {
		return nil
	}
	return runError{err}
}

func markRun(command *cobra.Command) {
	if run := command.RunE; run != nil {
		command.RunE = func(command *cobra.Command, args []string) error { return failedToRun(run(command, args)) }
	}
	for _, child := range command.Commands() {
		markRun(child)
	}
}

func isUsage(err error) bool {
	var called usageError
	var ran runError
	return errors.As(err, &called) || !errors.As(err, &ran)
}

// env returns an environment variable, "" if it is not set.
func (a *app) env(name string) string {
	value := ""
	for _, line := range a.Environ {
		if rest, found := strings.CutPrefix(line, name+"="); found {
			value = rest // of two the last counts
		}
	}
	return value
}

// operator returns the name under which this command's acts are audited.
func (a *app) operator() string {
	return operatoraudit.CleanName(cmp.Or(a.as, a.env("ROLLCALL_OPERATOR"), a.Login))
}
