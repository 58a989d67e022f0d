package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"syscall"
)

// limitProgram is a process that does the least work for the same result. It answers each job with a line.
type limitProgram struct {
	*process

	answers *bufio.Scanner
}

// startLimit starts a limit program as the part limit.
func (i *installation) startLimit(program string) (*limitProgram, error) {
	p, err := start(i.dir, launch{
		name: limit, path: i.environment.opts.programs[program], env: []string{"DATABASE_URL=" + i.url, "NATS_URL=" + i.conn.ConnectedUrl()}, piped: true,
	})
	if err != nil {
		return nil, err
	}
	i.parts[limit] = p
	return &limitProgram{process: p, answers: bufio.NewScanner(p.lines)}, nil
}

// do has the program do jobs, all at once if it can, and returns the last answer when all are done.
func (l *limitProgram) do(ctx context.Context, jobs ...map[string]any) (answer string, err error) {
	encoder := json.NewEncoder(l.input)
	for _, job := range jobs {
		if err := encoder.Encode(job); err != nil {
			return "", l.withLog(fmt.Errorf("send job: %w", err))
		}
	}
	stop := context.AfterFunc(ctx, func() { _ = l.child.SignalGroup(syscall.SIGKILL) }) // fails only if the process has ended
	defer stop()
	for range jobs {
		if !l.answers.Scan() {
			return "", l.withLog(fmt.Errorf("it ended without an answer: %w", l.answers.Err()))
		}
	}
	return l.answers.Text(), nil
}
