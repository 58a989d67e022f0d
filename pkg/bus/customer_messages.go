package bus

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"
)

// customerMessages are the subjects of a stream that belong to one customer.
type customerMessages struct {
	stream   string
	subjects []string
	// inClear says whether a message has personal data that is not sealed; nil: none of them has. Such messages are erased one by one,
	// because a purge leaves their bytes in the stream's files.
	inClear func(data []byte) bool
}

func always([]byte) bool { return true }

// hasRecord reports whether an event of a user has the user's record, by the name of that field.
func hasRecord(data []byte) bool { return bytes.Contains(data, []byte(`"user":`)) }

// messagesOf returns the customer's subjects in all streams. The messages of ROLLCALL_ONBOARDING are left out: the service erases each
// one when it has handled it, and requests that are newer than the offboarding must stay. ROLLCALL_ADVISORIES names no customer.
func messagesOf(customer string) []customerMessages {
	return []customerMessages{
		{stream: StreamEvents, subjects: []string{events + "user.*." + customer}, inClear: hasRecord}, // EVENTS_INCLUDE_USER
		{stream: StreamWriteback, subjects: []string{"rollcall.writeback.*." + customer}, inClear: always},
		{stream: StreamDonations, subjects: []string{"rollcall.donations.*." + customer, givingApplied + customer}, inClear: always},
		{stream: StreamWebhooks, subjects: []string{"rollcall.webhooks.*." + customer}, inClear: always},
		{stream: StreamEvents, subjects: []string{events + "*.*." + customer}},
		{stream: StreamAlerts, subjects: []string{alerts + "*.*." + customer}},
		{stream: StreamDLQ, subjects: []string{
			dlqRetry + "*." + customer + ".*", dlqReview + "*." + customer + ".*", dlqRetry + "*." + customer, dlqReview + "*." + customer,
		}},
		{stream: StreamBackfill, subjects: []string{backfillRequest + customer}},
		{stream: StreamPoll, subjects: []string{pollRequest + customer}},
		{stream: StreamReconcile, subjects: []string{reconcile + "*." + customer}},
	}
}

// CustomerMessages deletes and counts the messages of one customer in all streams.
type CustomerMessages struct {
	JetStream jetstream.JetStream
}

// EraseInClear overwrites and deletes up to atMost of the customer's messages that may have personal data in the clear. It returns how
// many it erased; done says that none is left. ErrNotErasable means that a stream denies deletions; what the other streams have is
// erased all the same.
func (m CustomerMessages) EraseInClear(ctx context.Context, customer string, atMost int) (erased int, done bool, err error) {
	var denied error
	for _, messages := range messagesOf(customer) {
		if messages.inClear == nil {
			continue
		}
		stream, err := m.stream(ctx, messages.stream)
		if err != nil {
			return erased, false, err
		}
		for _, subject := range messages.subjects {
			count, err := eraseSubject(ctx, stream, subject, messages.inClear, atMost-erased)
			erased += count
			switch {
			case errors.Is(err, ErrNotErasable):
				denied = errors.Join(denied, err)
			case errors.Is(err, errMoreMessages):
				return erased, false, nil
			case err != nil:
				return erased, false, err
			}
		}
	}
	return erased, denied == nil, denied
}

// errMoreMessages means that a subject has more messages than were to be erased at once.
var errMoreMessages = errors.New("the subject has more messages")

// eraseSubject erases the messages in the clear of a subject or a pattern, and returns how many it erased.
func eraseSubject(ctx context.Context, stream jetstream.Stream, subject string, inClear func([]byte) bool, atMost int) (erased int, err error) {
	for next := uint64(1); ; {
		found, err := stream.GetMsg(ctx, next, jetstream.WithGetMsgSubject(subject))
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			return erased, nil
		}
		if err != nil {
			return erased, fmt.Errorf("look for messages of %s: %w", subject, err)
		}
		next = found.Sequence + 1
		if !inClear(found.Data) {
			continue
		}
		if erased >= atMost {
			return erased, errMoreMessages
		}
		if err := Erase(ctx, stream, found.Sequence); err != nil {
			return erased, err
		}
		erased++
	}
}

// Purge deletes the customer's messages, and returns how many there were. ErrNotErasable means that a stream denies deletions; the other
// streams are purged all the same.
func (m CustomerMessages) Purge(ctx context.Context, customer string) (purged uint64, err error) {
	var denied error
	for _, messages := range messagesOf(customer) {
		stream, err := m.stream(ctx, messages.stream)
		if err != nil {
			return purged, err
		}
		for _, subject := range messages.subjects {
			count, err := countSubject(ctx, stream, subject)
			if err != nil {
				return purged, err
			}
			if count == 0 {
				continue
			}
			if config := stream.CachedInfo().Config; config.DenyPurge || config.Sealed {
				denied = errors.Join(denied, fmt.Errorf("purge %s: %w", subject, ErrNotErasable))
				continue
			}
			if err := PurgeSubject(ctx, stream, subject); err != nil {
				return purged, err
			}
			purged += count
		}
	}
	return purged, denied
}

// Count returns how many messages each stream has of the customer. Streams without any are left out.
func (m CustomerMessages) Count(ctx context.Context, customer string) (map[string]uint64, error) {
	counts := map[string]uint64{}
	for _, messages := range messagesOf(customer) {
		if messages.inClear != nil && messages.stream == StreamEvents {
			continue // counted with the other events
		}
		stream, err := m.stream(ctx, messages.stream)
		if err != nil {
			return nil, err
		}
		for _, subject := range messages.subjects {
			count, err := countSubject(ctx, stream, subject)
			if err != nil {
				return nil, err
			}
			if count > 0 {
				counts[messages.stream] += count
			}
		}
	}
	return counts, nil
}

func (m CustomerMessages) stream(ctx context.Context, name string) (jetstream.Stream, error) {
	stream, err := m.JetStream.Stream(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("look up stream %s: %w", name, err)
	}
	return stream, nil
}

func countSubject(ctx context.Context, stream jetstream.Stream, subject string) (uint64, error) {
	info, err := stream.Info(ctx, jetstream.WithSubjectFilter(subject))
	if err != nil {
		return 0, fmt.Errorf("count messages of %s: %w", subject, err)
	}
	var count uint64
	for _, messages := range info.State.Subjects {
		count += messages
	}
	return count, nil
}
