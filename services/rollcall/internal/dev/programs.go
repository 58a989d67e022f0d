package dev

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"github.com/fatih/color"

	"rollcall.dev/pkg/localserver"
)

const (
	sandboxName = "sandbox"
	demoOrg     = "demo"
	otherOrg    = "acme"
	otherUsers  = 250
)

// serviceNames returns the services, in the order of the streams that they read.
func serviceNames() []string {
	return []string{"onboarding", "backfill", "poller", "reconciler", "dlqretry", "writeback", "donations", "webhooks", "notifier", consoleName}
}

// startPrograms starts the sandbox, then the services, and returns when all of them are ready.
func (s *stack) startPrograms(ctx context.Context, environ []string) error {
	standIn, err := s.program(sandboxName, color.FgMagenta, environ)
	if err != nil {
		return err
	}
	standIn.address = func() (string, error) { return loopback(s.sandboxPort), nil }
	standIn.args = []string{
		"--org", demoOrg + ":" + strconv.Itoa(s.folder.memory.DemoUsers),
		"--org", otherOrg + ":" + strconv.Itoa(otherUsers),
		"--virtuous", demoOrg,
		"--virtuous", otherOrg,
		"--state-file", s.folder.in("sandbox.state"),
	}
	s.children.add(standIn)
	if err := s.children.awaitReady(ctx); err != nil {
		return err
	}
	colours := []color.Attribute{color.FgCyan, color.FgGreen, color.FgYellow, color.FgBlue, color.FgHiRed, color.FgHiMagenta}
	var programs []program
	for i, name := range serviceNames() {
		p, err := s.program(name, colours[i%len(colours)], environ)
		if err != nil {
			return err
		}
		if name == consoleName {
			p.address = func() (string, error) { return loopback(s.consolePort), nil } // people have it in their browsers
		}
		programs = append(programs, p)
	}
	s.children.add(programs...)
	return s.children.awaitReady(ctx)
}

func (s *stack) program(name string, colour color.Attribute, environ []string) (program, error) {
	log, err := openLogFile(s.folder.logFile(name), logKeptUpTo, s.screen.linesOf(name, colour))
	if err != nil {
		return program{}, err
	}
	s.children.logs = append(s.children.logs, log)
	return program{
		name: name, path: filepath.Join(s.bin, name), env: environ, log: log, held: s.heirs.file, say: s.screen.sayf,
		address: func() (string, error) {
			port, err := localserver.FreePort()
			return loopback(port), err
		},
	}, nil
}

// errNotBuilt means that one of the programs is missing.
var errNotBuilt = errors.New("run `make build`, or say with --bin where the programs are")

// findPrograms returns the folder with the programs: the requested one, else the folder of this program.
func findPrograms(asked string) (string, error) {
	folder := asked
	if folder == "" {
		self, err := os.Executable()
		if err != nil {
			return "", fmt.Errorf("find this program: %w", err)
		}
		if self, err = filepath.EvalSymlinks(self); err != nil {
			return "", fmt.Errorf("find this program: %w", err)
		}
		folder = filepath.Dir(self)
	}
	for _, name := range append([]string{sandboxName}, serviceNames()...) {
		info, err := os.Stat(filepath.Join(folder, name))
		if err != nil || !info.Mode().IsRegular() || info.Mode()&0o111 == 0 {
			return "", fmt.Errorf("there is no program %s in %s: %w", name, folder, errNotBuilt)
		}
	}
	return folder, nil
}
