package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"go.uber.org/zap/zapcore"

	"rollcall.dev/services/sandbox/internal/answer"
	"rollcall.dev/services/sandbox/internal/faults"
	"rollcall.dev/services/sandbox/internal/gifts"
	"rollcall.dev/services/sandbox/internal/vomo"
)

// options are the flags and the environment.
type options struct {
	addr          string // HTTP_ADDR
	logLevel      zapcore.Level
	logFormat     string // LOG_FORMAT: json or console
	seed          uint64
	perPage       int
	latency       time.Duration
	organisations []vomo.Config
	giving        []gifts.Config // organisations of Virtuous
	faults        []faults.Rule
	lives         []orgLife
	stateFile     string // "" keeps nothing over a restart
}

// orgLife is the script of one organisation.
type orgLife struct {
	org    string
	script vomo.Script
}

const maxPerPage = 1_000

func parseOptions(args []string, lookupEnv func(string) (string, bool), stderr io.Writer) (options, error) {
	opts := options{addr: defaultAddr, logFormat: "json"}
	flags := flag.NewFlagSet("sandbox", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Uint64Var(&opts.seed, "seed", 1, "seed of the people, and of faults with a probability")
	flags.IntVar(&opts.perPage, "per-page", 15, "users on a page of VOMO")
	flags.DurationVar(&opts.latency, "latency", 0, "delay of every answer of VOMO, the CRM and Virtuous")
	flags.StringVar(&opts.stateFile, "state-file", "", "`file` that keeps organisations and the CRM's records over restarts")
	flags.Func("org", "an organisation as `name:users[:token]`, unless the state file has it; may be given again", func(text string) error {
		config, err := parseOrganisation(text)
		opts.organisations = append(opts.organisations, config)
		return err
	})
	flags.Func("virtuous", "an organisation of Virtuous as `name[:json]`, with settings as for PUT /control/virtuous/orgs/name/settings", func(text string) error {
		config, err := parseGiving(text)
		opts.giving = append(opts.giving, config)
		return err
	})
	flags.Func("fault", "a fault as `json`, as for POST /control/faults; may be given again", func(text string) error {
		var rule faults.Rule
		err := answer.Strict([]byte(text), &rule)
		opts.faults = append(opts.faults, rule)
		return err
	})
	flags.Func("life", "what happens while an organisation is read, as `name:json`, as for PUT /control/orgs/name/life", func(text string) error {
		name, script, _ := strings.Cut(text, ":")
		added := orgLife{org: name}
		err := answer.Strict([]byte(script), &added.script)
		opts.lives = append(opts.lives, added)
		return err
	})
	orders := map[string]vomo.Order{}
	flags.Func("order", "in which order an organisation of -org lists, as `name:order`: id, newest or updated", func(text string) error {
		name, order, _ := strings.Cut(text, ":")
		orders[name] = vomo.Order(order)
		return nil
	})
	if err := flags.Parse(args); err != nil {
		return options{}, fmt.Errorf("read flags: %w", err)
	}
	if flags.NArg() > 0 {
		return options{}, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	if opts.perPage < 1 || opts.perPage > maxPerPage {
		return options{}, fmt.Errorf("-per-page is %d, not 1 to %d", opts.perPage, maxPerPage)
	}
	if opts.latency < 0 {
		return options{}, errors.New("-latency is negative")
	}
	for i, config := range opts.organisations {
		opts.organisations[i].Order = orders[config.Name]
		delete(orders, config.Name)
		opts.organisations[i].Seed = vomo.DefaultSeed(opts.seed, opts.organisations[i].Name)
	}
	for i, config := range opts.giving {
		opts.giving[i].Seed = vomo.DefaultSeed(opts.seed, config.Name)
	}
	for name := range orders {
		return options{}, fmt.Errorf("-order is for %q, which no -org makes", name)
	}
	return opts, opts.environment(lookupEnv)
}

func (o *options) environment(lookupEnv func(string) (string, bool)) error {
	if addr, set := lookupEnv("HTTP_ADDR"); set && addr != "" {
		o.addr = addr
	}
	if level, set := lookupEnv("LOG_LEVEL"); set && level != "" {
		switch level {
		case "debug", "info", "warn", "error":
		default:
			return fmt.Errorf("LOG_LEVEL is %q, not debug, info, warn or error", level)
		}
		if err := o.logLevel.UnmarshalText([]byte(level)); err != nil {
			return fmt.Errorf("read LOG_LEVEL: %w", err)
		}
	}
	if format, set := lookupEnv("LOG_FORMAT"); set && format != "" {
		if format != "json" && format != "console" {
			return fmt.Errorf("LOG_FORMAT is %q, not json or console", format)
		}
		o.logFormat = format
	}
	return nil
}

func parseOrganisation(text string) (vomo.Config, error) {
	name, rest, _ := strings.Cut(text, ":")
	count, token, _ := strings.Cut(rest, ":")
	users, err := strconv.Atoi(count)
	if err != nil {
		return vomo.Config{}, errors.New("not of the form name:users[:token]")
	}
	return vomo.Config{Name: name, Users: users, Token: token}, nil
}

func parseGiving(text string) (gifts.Config, error) {
	name, settings, _ := strings.Cut(text, ":")
	config := gifts.Config{Name: name, Settings: gifts.DefaultSettings()}
	if settings == "" {
		return config, nil
	}
	return config, answer.Strict([]byte(settings), &config.Settings)
}
