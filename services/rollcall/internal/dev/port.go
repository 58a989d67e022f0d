package dev

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"strconv"
)

const (
	highestPort = 65535
	portsTried  = 100
)

// errPortTaken says that somebody listens on a port that was asked for.
var errPortTaken = errors.New("is taken; stop what listens there, or choose another one")

// choosePort is the one asked for (an error when it is taken), else the one of the last time, else the usual
// one, else the next that is free.
func choosePort(asked, last, usual int) (int, error) {
	if asked != 0 {
		if !portFree(asked) {
			return 0, fmt.Errorf("port %d %w", asked, errPortTaken)
		}
		return asked, nil
	}
	if last != 0 && portFree(last) {
		return last, nil
	}
	for port := usual; port < usual+portsTried; port++ {
		if portFree(port) {
			return port, nil
		}
	}
	return 0, fmt.Errorf("no port from %d to %d is free", usual, usual+portsTried-1)
}

func portFree(port int) bool {
	listener, err := net.Listen("tcp", loopback(port)) //nolint:noctx // it returns at once
	return err == nil && listener.Close() == nil
}

func loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// choosePorts keeps to those of the last time where it can: they stand in what people typed, and the sandbox's
// in the destination of everybody onboarded here. A port that is taken is given up for this time only.
func (s *stack) choosePorts(opts options) error {
	kept := &s.folder.memory
	fresh := kept.SandboxPort == 0
	var err error
	if s.natsPort, err = choosePort(opts.natsPort, kept.NATSPort, usualNATSPort); err != nil {
		return fmt.Errorf("NATS: %w", err)
	}
	if s.sandboxPort, err = choosePort(opts.sandboxPort, kept.SandboxPort, usualSandboxPort); err != nil {
		return fmt.Errorf("sandbox: %w", err)
	}
	if wanted := cmp.Or(opts.natsPort, kept.NATSPort, usualNATSPort); s.natsPort != wanted {
		s.screen.tellf("port %d is taken: NATS listens on %d", wanted, s.natsPort)
	}
	if wanted := cmp.Or(opts.sandboxPort, kept.SandboxPort, usualSandboxPort); s.sandboxPort != wanted {
		s.screen.tellf("port %d is taken: the sandbox listens on %d", wanted, s.sandboxPort)
	}
	if !fresh && s.sandboxPort != kept.SandboxPort {
		s.screen.tellf("customers onboarded while the sandbox had port %d have their destination there, and wait for it", kept.SandboxPort)
	}
	before := *kept
	kept.NATSPort = cmp.Or(opts.natsPort, kept.NATSPort, s.natsPort)
	kept.SandboxPort = cmp.Or(opts.sandboxPort, kept.SandboxPort, s.sandboxPort)
	if *kept == before {
		return nil
	}
	return s.folder.remember()
}
