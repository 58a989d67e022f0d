package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
)

// options are the options of a measurement.
type options struct {
	users       int
	giving      bool   // giving is measured, and no backfill
	records     int    // of giving, in each of its measurements
	only        string // the one measurement of giving that is made; "" means all
	rounds      int
	productOnly bool
	out         string // file for the report; "" means none
	profiles    string // folder for CPU and heap profiles of the worker; "" means none
	programs    programs
}

// programs are the paths of the programs to run.
type programs struct {
	onboarding, backfill, sandbox, limit, nats string
	webhooks, donations, givingLimit           string
}

// maxUsers is the size of the largest organisation that the sandbox can create.
const maxUsers = 1_000_000

func parseOptions(args []string, stderr io.Writer) (options, error) {
	var opts options
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.IntVar(&opts.users, "users", 30_000, "users of the organisation that is mirrored")
	flags.BoolVar(&opts.giving, "giving", false, "measure giving: webhook deliveries, inbound application, capture of donations")
	flags.IntVar(&opts.records, "records", 10_000, "with -giving: deliveries, gifts and donations of a round")
	flags.StringVar(&opts.only, "only", "", "with -giving: make only the measurement with this `name`: deliveries, inbound or capture")
	flags.IntVar(&opts.rounds, "rounds", 3, "rounds of each program, in turns")
	flags.BoolVar(&opts.productOnly, "product-only", false, "leave the limit program out")
	flags.StringVar(&opts.out, "out", "", "`file` for the report as JSON")
	flags.StringVar(&opts.profiles, "profiles", "", "`folder` for profiles of the worker, one of each round; they slow it down a little")
	bin := flags.String("bin", "", "`folder` with the programs; the one that this program is in when not given")
	if err := flags.Parse(args); err != nil {
		return options{}, fmt.Errorf("read flags: %w", err)
	}
	if flags.NArg() > 0 {
		return options{}, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	if opts.users < 1 || opts.users > maxUsers {
		return options{}, fmt.Errorf("-users is %d, not 1 to %d", opts.users, maxUsers)
	}
	if opts.records < giftsInDelivery || opts.records%giftsInDelivery != 0 || opts.records > maxUsers {
		return options{}, fmt.Errorf("-records is %d, not a multiple of %d up to %d", opts.records, giftsInDelivery, maxUsers)
	}
	if !slices.Contains([]string{"", nameDeliveries, nameInbound, nameCapture}, opts.only) {
		return options{}, fmt.Errorf("-only is %q, not %s, %s or %s", opts.only, nameDeliveries, nameInbound, nameCapture)
	}
	if opts.rounds < 1 {
		return options{}, errors.New("-rounds is below 1")
	}
	if *bin == "" {
		self, err := os.Executable()
		if err != nil {
			return options{}, fmt.Errorf("find this program: %w", err)
		}
		*bin = filepath.Dir(self)
	}
	opts.programs = programs{
		onboarding: filepath.Join(*bin, "onboarding"), backfill: filepath.Join(*bin, "backfill"),
		sandbox: filepath.Join(*bin, "sandbox"), limit: filepath.Join(*bin, "limit"), nats: filepath.Join(*bin, "natsserver"),
		webhooks: filepath.Join(*bin, "webhooks"), donations: filepath.Join(*bin, "donations"), givingLimit: filepath.Join(*bin, "givinglimit"),
	}
	return opts, nil
}

// makeFolders creates the folders of -profiles and -out. It runs before the measurement, which takes minutes and
// would be lost if its output could not be written.
func (o options) makeFolders() error {
	if o.profiles != "" {
		if err := os.MkdirAll(o.profiles, 0o750); err != nil {
			return fmt.Errorf("make the folder of -profiles: %w", err)
		}
	}
	if o.out != "" {
		if err := os.MkdirAll(filepath.Dir(o.out), 0o750); err != nil {
			return fmt.Errorf("make the folder of -out: %w", err)
		}
	}
	return nil
}
