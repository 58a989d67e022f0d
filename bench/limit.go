package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"syscall"
)

// limitProgram is the process that does the least work for the same result.
type limitProgram struct {
	environment *environment
	process     *process
	answers     *bufio.Scanner
}

func (e *environment) openLimit(_ context.Context, _, databaseURL string) (subject, error) {
	p, err := start(e.dir, launch{name: limit, path: e.opts.programs.limit, env: []string{"DATABASE_URL=" + databaseURL}, piped: true})
	if err != nil {
		return nil, err
	}
	return &limitProgram{environment: e, process: p, answers: bufio.NewScanner(p.lines)}, nil
}

func (l *limitProgram) mirror(ctx context.Context, organisation, customer string) error {
	job := map[string]string{
		"customer": customer, "vomo": l.environment.sandbox.vomo(), "token": l.environment.sandbox.token(organisation),
		"destination": l.environment.sandbox.crm(customer),
	}
	if err := json.NewEncoder(l.process.input).Encode(job); err != nil {
		return l.process.withLog(fmt.Errorf("send job: %w", err))
	}
	stop := context.AfterFunc(ctx, func() { _ = l.process.child.SignalGroup(syscall.SIGKILL) }) // fails only if the process has ended
	defer stop()
	if !l.answers.Scan() {
		return l.process.withLog(fmt.Errorf("it ended without an answer: %w", l.answers.Err()))
	}
	return nil
}

func (l *limitProgram) processes() map[string]*process { return map[string]*process{limit: l.process} }

func (l *limitProgram) close() error { return l.process.stop() }
