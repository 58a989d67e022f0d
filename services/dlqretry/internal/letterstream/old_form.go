package letterstream

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/service"
)

const (
	oldCheckEvery  = 2 * time.Second
	oldWarnEvery   = time.Minute
	silentChecks   = 3 // in a row: a service may be without its connection for a moment
	oldFormTimeout = 30 * time.Second
)

// oldForm is how far the stream is on its way from the subjects of the version before, which hold all letters of a
// customer, to subjects by letter. It goes with the next release.
type oldForm struct {
	checkedAt time.Time
	warnedAt  time.Time
	silent    int // checks in a row in which no service of the version before answered
}

// leaveOldForm purges the messages of the version before and limits the stream to one message per subject, after no service
// of that version has answered several checks in a row. While one runs, the stream is left to its dlqretry, which would
// lose letters by the limit, and which deletes messages that it does not know.
func (p *Publisher) leaveOldForm(ctx context.Context) error {
	if time.Since(p.oldForm.checkedAt) < oldCheckEvery {
		return nil
	}
	p.oldForm.checkedAt = time.Now()
	running, err := p.Running(ctx)
	if err != nil {
		return err
	}
	var old, current []string
	for _, ping := range running {
		if service.KnowsLetterSubjects(ping) {
			current = append(current, ping.Name)
		} else {
			old = append(old, ping.Name+" "+ping.ID)
		}
	}
	if len(old) > 0 || len(current) == 0 { // without an answer of this service itself, silence proves nothing
		p.oldForm.silent = 0
		if time.Since(p.oldForm.warnedAt) >= oldWarnEvery {
			p.oldForm.warnedAt = time.Now()
			p.Logger.Warn("ROLLCALL_DLQ keeps its old subjects while services of the version before run", zap.Strings("services", old))
		}
		return nil
	}
	if p.oldForm.silent++; p.oldForm.silent < silentChecks {
		return nil
	}
	return p.changeForm(ctx)
}

// changeForm may be cut off after any step: it is repeated.
func (p *Publisher) changeForm(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, oldFormTimeout)
	defer cancel()
	if err := bus.PurgeSubject(ctx, p.stream, bus.OldLetterReviews); err != nil {
		return err
	}
	handled, err := p.handledUpTo(ctx)
	if err != nil {
		return err
	}
	if err := p.purgeHandled(ctx, bus.OldLetterRetries, handled); err != nil {
		return err
	}
	info, err := p.stream.Info(ctx, jetstream.WithSubjectFilter(bus.OldLetterRetries))
	if err != nil {
		return fmt.Errorf("look for requests: %w", err)
	}
	if len(info.State.Subjects) > 0 { // the limit would drop requests that dlq-retry has not handled
		return nil
	}
	if err := bus.LimitLetters(ctx, p.JetStream); err != nil {
		return err
	}
	p.Logger.Info("ROLLCALL_DLQ has one message per letter now")
	return p.lookUpStream(ctx)
}
