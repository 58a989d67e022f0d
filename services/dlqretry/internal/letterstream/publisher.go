package letterstream

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nats.go/micro"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"rollcall.dev/pkg/backoff"
	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/deadletter"
	"rollcall.dev/pkg/store"
)

const (
	updateEvery    = 300 * time.Millisecond
	longestPause   = 15 * time.Second       // between updates while NATS or Postgres does not work
	quietFor       = 100 * time.Millisecond // see awaitQuiet
	longestQuiet   = 3 * time.Second        // see awaitQuiet
	batchSize      = 100
	requestsAtOnce = 16              // to the server
	batchTimeout   = 5 * time.Second // shorter than a transaction may be idle
	lookUpEvery    = time.Second
	// retriedWithin is how long a letter that an operator asked for is left as the stream has it: its retry changes it again. Without it,
	// a large redrive would wait for the publisher, which locks its letters and needs three requests for each. So it is longer than the
	// redrive of some ten thousand letters takes.
	retriedWithin = 30 * time.Second
)

// Config is what a Publisher needs.
type Config struct {
	Store     *store.Store
	JetStream jetstream.JetStream
	Logger    *zap.Logger
	Metrics   *Metrics
	// Running returns the services that run. It is called only while the stream is in the form of the version before.
	Running func(ctx context.Context) ([]micro.Ping, error)
	// Asked is called after a commit that made letters of these customers due.
	Asked func(customers ...string)
}

// Publisher keeps ROLLCALL_DLQ equal to the open letters. Each replica has one; a letter is with one of them at a time.
//
// A letter is published in a transaction that locks its row, before the row says so. After a crash in between, the letter
// is published again and replaces its message: at least once, idempotent by the subject.
type Publisher struct {
	Config

	bus     bus.Publisher
	woken   chan struct{}
	updated func() // for tests: an update is over; nil outside

	retriedWithin time.Duration

	stream     jetstream.Stream
	created    time.Time // when the stream was created
	lookedUpAt time.Time
	audit      auditSchedule
	oldForm    oldForm
}

// NewPublisher returns a publisher; Run starts it.
func NewPublisher(config Config) *Publisher {
	return &Publisher{
		Config: config, bus: bus.Publisher{JetStream: config.JetStream, Logger: config.Logger}, woken: make(chan struct{}, 1),
		retriedWithin: retriedWithin,
	}
}

// Wake lets the publisher look at once, because letters changed.
func (p *Publisher) Wake() {
	select {
	case p.woken <- struct{}{}:
	default: // it is awake already
	}
}

// Run updates and audits the stream until ctx ends.
func (p *Publisher) Run(ctx context.Context) {
	failures := 0 // in a row
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-p.woken:
		}
		p.awaitQuiet(ctx)
		err := p.update(ctx)
		if err == nil {
			err = p.auditIfDue(ctx)
		}
		switch {
		case err == nil:
			failures = 0
			if p.updated != nil {
				p.updated()
			}
		case ctx.Err() == nil:
			p.Logger.Warn("ROLLCALL_DLQ differs from the open letters", zap.Error(err))
			failures++
		}
		timer.Reset(backoff.Delays{First: updateEvery, Longest: longestPause}.After(failures + 1))
	}
}

// awaitQuiet waits until letters have not changed for a moment, and at most longestQuiet. A redrive changes letters page by page, and
// to update the stream costs more than a retry does: it waits for the redrive, and not the redrive for it.
func (p *Publisher) awaitQuiet(ctx context.Context) {
	longest := time.NewTimer(min(longestQuiet, p.retriedWithin))
	defer longest.Stop()
	for {
		quiet := time.NewTimer(min(quietFor, p.retriedWithin))
		select {
		case <-p.woken:
			quiet.Stop()
			continue
		case <-quiet.C:
		case <-longest.C:
			quiet.Stop()
		case <-ctx.Done():
			quiet.Stop()
		}
		return
	}
}

// update publishes and purges what changed since the last update.
func (p *Publisher) update(ctx context.Context) error {
	if time.Since(p.lookedUpAt) >= lookUpEvery {
		if err := p.lookUpStream(ctx); err != nil {
			return err
		}
	}
	if !p.byLetter() {
		return p.leaveOldForm(ctx)
	}
	// Settled letters first: they make room in a full stream.
	for _, settled := range []bool{true, false} {
		for {
			began := time.Now()
			n, err := p.updateBatch(ctx, settled)
			if err != nil {
				return err
			}
			if n < batchSize {
				break
			}
			// The stream may lag, and leaves the machine to what changes the letters.
			if err := backoff.Sleep(ctx, time.Since(began)); err != nil {
				return err
			}
		}
	}
	return nil
}

// byLetter reports whether the stream has one message per letter. Until then this publisher leaves the stream to a
// dlqretry of the version before.
func (p *Publisher) byLetter() bool { return bus.HoldsOneMessagePerLetter(p.stream) }

// lookUpStream notices a stream that was created again: its messages are gone, so it is audited at once.
func (p *Publisher) lookUpStream(ctx context.Context) error {
	stream, err := p.JetStream.Stream(ctx, bus.StreamDLQ)
	if err != nil {
		return fmt.Errorf("look up stream: %w", err)
	}
	p.stream, p.lookedUpAt = stream, time.Now()
	if created := bus.CreatedOf(stream); !created.Equal(p.created) {
		p.created, p.audit = created, auditSchedule{}
	}
	return nil
}

// updateBatch updates the messages of some letters, and returns how many letters these were. If the stream rejects some,
// the others are noted all the same, and the error says why.
func (p *Publisher) updateBatch(ctx context.Context, settled bool) (n int, err error) {
	var rejected error
	var asked []string
	err = p.Store.InTx(ctx, func(ctx context.Context, tx *store.Tx) error {
		letters, err := tx.UnpublishedLetters(ctx, settled, p.retriedWithin, batchSize)
		if err != nil || len(letters) == 0 {
			return err
		}
		n = len(letters)
		bounded, cancel := context.WithTimeout(ctx, batchTimeout)
		defer cancel()
		if settled {
			return p.purgeSettled(bounded, tx, letters)
		}
		asked, rejected, err = p.publish(bounded, tx, letters)
		return err
	})
	if err == nil && len(asked) > 0 {
		p.Asked(asked...)
	}
	return n, errors.Join(err, rejected)
}

func (p *Publisher) purgeSettled(ctx context.Context, tx *store.Tx, letters []store.UnpublishedLetter) error {
	ids := make([]uuid.UUID, len(letters))
	err := p.each(ctx, len(letters), func(ctx context.Context, i int) error {
		ids[i] = letters[i].ID
		return bus.PurgeSubject(ctx, p.stream, bus.LetterSubject{
			Kind: letters[i].Kind, Customer: letters[i].Customer, Letter: letters[i].ID.String(),
		}.AnyState())
	})
	if err != nil {
		return err
	}
	p.Metrics.changed(changePurged, len(ids))
	return tx.NotePurged(ctx, ids)
}

// publish publishes open letters. A waiting letter may replace an operator's request that dlq-retry did not deliver yet:
// then the letter is asked for in the same transaction. asked are the customers of such letters; rejected says why the
// stream did not accept some letters.
func (p *Publisher) publish(ctx context.Context, tx *store.Tx, letters []store.UnpublishedLetter) (asked []string, rejected, err error) {
	last := make([]lastMessage, len(letters)) // on the retry subject
	err = p.each(ctx, len(letters), func(ctx context.Context, i int) (err error) {
		if isWaiting(letters[i].Letter) || letters[i].Revision > 1 {
			last[i], err = p.lastRequestOrRetry(ctx, letters[i].Letter)
		}
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	var requested []uuid.UUID
	for i := range letters {
		if isWaiting(letters[i].Letter) && last[i].isRequest {
			requested, asked = append(requested, letters[i].ID), append(asked, letters[i].Customer)
			letters[i].Revision++ // by AskLetters
		}
	}
	if _, err := tx.AskLetters(ctx, requested); err != nil {
		return nil, nil, err
	}
	published, rejected, err := p.publishMessages(ctx, letters, last)
	if err != nil {
		return nil, nil, err
	}
	ids := make([]uuid.UUID, len(published))
	err = p.each(ctx, len(published), func(ctx context.Context, n int) error {
		letter := letters[published[n]].Letter
		ids[n] = letter.ID
		switch {
		case letter.Revision == 1: // it never was on the other subject
			return nil
		case isWaiting(letter):
			return p.purge(ctx, letter, false)
		case last[published[n]].isRequest || last[published[n]].sequence == 0:
			return nil // a request stays until it is handled
		}
		return bus.Delete(ctx, p.stream, last[published[n]].sequence)
	})
	if err != nil {
		return nil, nil, err
	}
	p.Metrics.changed(changePublished, len(ids))
	return asked, rejected, tx.NotePublished(ctx, ids)
}

// publishMessages returns the indexes of the letters that the stream accepted. A letter whose subject got another message
// meanwhile is published at the next update.
func (p *Publisher) publishMessages(ctx context.Context, letters []store.UnpublishedLetter, last []lastMessage) (published []int, rejected, err error) {
	batch := make([]bus.Outgoing, len(letters))
	for i, letter := range letters {
		if batch[i], err = messageOf(letter).Message(); err != nil {
			return nil, nil, fmt.Errorf("publish letter %s: %w", letter.ID, err)
		}
		if isWaiting(letter.Letter) {
			batch[i].ExpectLast = &last[i].sequence
		}
	}
	for i, ack := range p.bus.PublishAcked(ctx, batch) {
		switch {
		case errors.Is(ack.Err, bus.ErrSubjectChanged):
		case ack.Err != nil:
			rejected = fmt.Errorf("publish letter %s: %w", letters[i].ID, ack.Err)
		default:
			published = append(published, i)
		}
	}
	return published, rejected, nil
}

// lastMessage is the message on a letter's retry subject.
type lastMessage struct {
	sequence  uint64 // 0: none
	isRequest bool   // an operator's, not rollcall's own
}

func (p *Publisher) lastRequestOrRetry(ctx context.Context, letter store.Letter) (lastMessage, error) {
	message, err := p.stream.GetLastMsgForSubject(ctx, subjectOf(letter, true))
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return lastMessage{}, nil
	}
	if err != nil {
		return lastMessage{}, fmt.Errorf("look for requests of letter %s: %w", letter.ID, err)
	}
	return lastMessage{sequence: message.Sequence, isRequest: message.Header.Get(bus.HeaderLetterRevision) == ""}, nil
}

func (p *Publisher) purge(ctx context.Context, letter store.Letter, waiting bool) error {
	return bus.PurgeSubject(ctx, p.stream, subjectOf(letter, waiting))
}

// each runs work for 0 to n-1, several at once.
func (p *Publisher) each(ctx context.Context, n int, work func(ctx context.Context, i int) error) error {
	group, grouped := errgroup.WithContext(ctx)
	group.SetLimit(requestsAtOnce)
	for i := range n {
		group.Go(func() error { return work(grouped, i) })
	}
	return group.Wait()
}

const stateWaiting = "waiting"

func isWaiting(letter store.Letter) bool { return letter.State == stateWaiting }

// subjectOf returns the letter's subject in one of the two states of open letters.
func subjectOf(letter store.Letter, waiting bool) string {
	return bus.LetterSubject{Waiting: waiting, Kind: letter.Kind, Customer: letter.Customer, Letter: letter.ID.String()}.String()
}

func messageOf(letter store.UnpublishedLetter) deadletter.Published {
	return deadletter.Published{
		ID: letter.ID, Revision: letter.Revision, Customer: letter.Customer, Kind: letter.Kind, Waiting: isWaiting(letter.Letter),
		RecordID: letter.RecordID, UpdatedAt: letter.UpdatedAt, ErrorCode: letter.ErrorCode, ErrorClass: letter.ErrorClass,
		Attempts: letter.Attempts, FirstFailedAt: letter.FirstFailedAt, Job: letter.Job, TraceID: letter.TraceID,
		OriginalSubject: letter.OriginalSubject,
	}
}
