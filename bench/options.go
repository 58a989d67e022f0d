package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// options are the options of a measurement.
type options struct {
	sizes

	rows        string // names of the rows that are measured
	rounds      int
	productOnly bool
	out         string // file for the report; "" means none
	compare     string // file of an earlier report; "" means none
	finished    string // file of the report that is compared, and nothing is measured; "": this measurement's
	profiles    string // folder for CPU and heap profiles of the services; "" means none
	profileFor  time.Duration
	statements  bool   // what each statement costs Postgres
	data        string // folder in which all files of Postgres and NATS are; "" means the temporary folder
	claim       time.Duration
	settings    []string          // of all services, instead of their defaults
	programs    map[string]string // paths by name
}

// sizes say how much each row works.
type sizes struct {
	users, customers, usersEach, polled, idle, letters, messages, resumed, grown, window, huge, beside, records int

	besideFor time.Duration
}

// maxUsers is the size of the largest organisation that the sandbox can create.
const maxUsers = 1_000_000

// sizeFlag is the flag of a size.
type sizeFlag struct {
	into        *int
	name        string
	usual, step int // a size is a multiple of its step
	usage       string
}

func (s *sizes) flags() []sizeFlag {
	return []sizeFlag{
		{&s.users, "users", 30_000, 1, "backfill: users of the customer"},
		{&s.customers, "customers", 20, 1, "many: customers that are backfilled at once"},
		{&s.usersEach, "users-each", 3_000, 1, "many: users of each"},
		{&s.polled, "poll-users", 100_000, changedOf, "poll: users of the customer"},
		{&s.idle, "idle", 1_000, 1, "idle: customers that are due at once"},
		{&s.letters, "letters", 10_000, 1, "redrive: letters of the customer"},
		{&s.messages, "messages", 500, 1, "claim: messages"},
		{&s.resumed, "resume-users", 30_000, 1, "resume: users of the customer"},
		{&s.grown, "growth-users", maxUsers, 1, "growth: users of the customer"},
		{&s.window, "growth-window", 10_000, 1, "growth: how many of them are the first ones, and the last ones"},
		{&s.huge, "huge-users", 500_000, 1, "fairness: users of the huge customer"},
		{&s.beside, "beside", 1_000, 1, "fairness: small customers beside it"},
		{&s.records, "records", 10_000, giftsInDelivery, "giving: deliveries, gifts and donations of a round"},
	}
}

func parseOptions(args []string, stderr io.Writer) (options, error) {
	var opts options
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(stderr)
	for _, size := range opts.flags() {
		flags.IntVar(size.into, size.name, size.usual, size.usage)
	}
	flags.DurationVar(&opts.besideFor, "beside-for", time.Minute, "fairness: over how long the polls of the small customers are spread")
	flags.DurationVar(&opts.claim, "claim-timeout", 30*time.Second, "CLAIM_TIMEOUT of all services")
	flags.StringVar(&opts.rows, "row", groupMirror, "`names` of what is measured, separated by commas; mirror and giving are groups")
	flags.IntVar(&opts.rounds, "rounds", 3, "rounds of each program, in turns")
	flags.BoolVar(&opts.productOnly, "product-only", false, "leave the limit programs out")
	flags.StringVar(&opts.out, "out", "", "`file` for the report as JSON")
	flags.StringVar(&opts.compare, "compare", "", "`file` of an earlier report: say what changed beyond the spread. "+
		"With the file of a later report as argument, nothing is measured")
	flags.StringVar(&opts.profiles, "profiles", "", "`folder` for profiles of the services, one of each round; they slow it down a little")
	flags.DurationVar(&opts.profileFor, "profile-for", 10*time.Second, "how long a CPU profile takes; a round that is shorter waits for it")
	flags.BoolVar(&opts.statements, "statements", false, "say what each statement costs Postgres; that slows it down a little")
	flags.StringVar(&opts.data, "data", "", "`folder` on the disk for the files of Postgres and NATS; the temporary folder when not given")
	flags.Func("set", "`NAME=value` of a setting of all services; may be given several times", func(setting string) error {
		if name, _, found := strings.Cut(setting, "="); !found || name == "" {
			return errors.New("it is not NAME=value")
		}
		opts.settings = append(opts.settings, setting)
		return nil
	})
	bin := flags.String("bin", "", "`folder` with the programs; the one that this program is in when not given")
	if err := flags.Parse(args); err != nil {
		return options{}, fmt.Errorf("read flags: %w", err)
	}
	opts.finished = flags.Arg(0)
	if flags.NArg() > 1 || opts.finished != "" && opts.compare == "" {
		return options{}, fmt.Errorf("unexpected argument %q", flags.Arg(flags.NArg()-1))
	}
	for _, size := range opts.flags() {
		if *size.into < size.step || *size.into > maxUsers || *size.into%size.step != 0 {
			return options{}, fmt.Errorf("-%s is %d, not a multiple of %d up to %d", size.name, *size.into, size.step, maxUsers)
		}
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
	opts.programs = map[string]string{}
	for _, name := range programNames() {
		opts.programs[name] = filepath.Join(*bin, name)
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
