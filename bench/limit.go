package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"syscall"
)

// limitProgram is the least that can be done for the same result, as a process of its own.
type limitProgram struct {
	stage   *stage
	process *process
	answers *bufio.Scanner
}

func (s *stage) openLimit(_ context.Context, _, databaseURL string) (subject, error) {
	p, err := start(s.dir, launch{name: limit, path: s.opts.programs.limit, env: []string{"DATABASE_URL=" + databaseURL}, piped: true})
	if err != nil {
		return nil, err
	}
	return &limitProgram{stage: s, process: p, answers: bufio.NewScanner(p.lines)}, nil
}

func (l *limitProgram) mirror(ctx context.Context, organisation, customer string) error {
	job := map[string]string{
		"customer": customer, "vomo": l.stage.sandbox.vomo(), "token": l.stage.sandbox.token(organisation),
		"destination": l.stage.sandbox.crm(customer),
	}
	if err := json.NewEncoder(l.process.input).Encode(job); err != nil {
		return l.process.complain(fmt.Errorf("send job: %w", err))
	}
	stop := context.AfterFunc(ctx, func() { _ = l.process.child.SignalGroup(syscall.SIGKILL) }) // the only error is that it has ended
	defer stop()
	if !l.answers.Scan() {
		return l.process.complain(fmt.Errorf("it ended without an answer: %w", l.answers.Err()))
	}
	return nil
}

func (l *limitProgram) processes() map[string]*process { return map[string]*process{limit: l.process} }

func (l *limitProgram) close() error { return l.process.stop() }
