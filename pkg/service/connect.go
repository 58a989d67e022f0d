package service

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/nats-io/nats.go"
	"go.uber.org/zap"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/config"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/telemetry"
)

const (
	startTime     = 30 * time.Second
	reconnectWait = 500 * time.Millisecond
	pingInterval  = 10 * time.Second
)

// waitFor tries to reach something until the time limit of a start: services start in any order, and at the same time
// as `rollcall migrate`.
func waitFor[T any](ctx context.Context, logger *zap.Logger, what string, reach func(context.Context) (T, error)) (T, error) {
	logged := false
	value, err := backoff.Retry(ctx, func() (T, error) {
		value, err := reach(ctx)
		if errors.Is(err, store.ErrSchemaOlder) || errors.Is(err, store.ErrTransactionPooler) {
			return value, backoff.Permanent(err)
		}
		return value, err
	}, backoff.WithMaxElapsedTime(startTime), backoff.WithNotify(func(err error, _ time.Duration) {
		if !logged {
			logger.Info("waiting for "+what, zap.Error(err))
			logged = true
		}
	}))
	if err != nil {
		return value, fmt.Errorf("start without %s: %w", what, err)
	}
	return value, nil
}

// Connect connects to NATS with the settings. After the first success it reconnects without limit.
func Connect(settings config.Config, name string, logger *zap.Logger) (*nats.Conn, error) {
	options := []nats.Option{
		nats.Name(name), nats.MaxReconnects(-1), nats.ReconnectWait(reconnectWait), nats.PingInterval(pingInterval),
		nats.RetryOnFailedConnect(false),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil { // nil: this process closed the connection
				logger.Warn("NATS disconnected", zap.Error(err))
			}
		}),
		nats.ReconnectHandler(func(*nats.Conn) { logger.Info("NATS reconnected") }),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { logger.Warn("NATS error", zap.Error(err)) }),
	}
	password, err := settings.NATSPassword()
	if err != nil {
		return nil, err
	}
	if password != "" {
		options = append(options, nats.UserInfo(settings.NATSUser, password))
	}
	if settings.NATSCreds != "" {
		options = append(options, nats.UserCredentials(settings.NATSCreds))
	}
	if settings.NATSNKey != "" {
		nkey, err := nats.NkeyOptionFromSeed(settings.NATSNKey)
		if err != nil {
			return nil, fmt.Errorf("read NATS_NKEY: %w", err)
		}
		options = append(options, nkey)
	}
	if settings.NATSCA != "" {
		options = append(options, nats.RootCAs(settings.NATSCA))
	}
	if settings.NATSCert != "" {
		options = append(options, nats.ClientCert(settings.NATSCert, settings.NATSKey))
	}
	conn, err := nats.Connect(settings.NATSURL, options...)
	if err != nil {
		return nil, fmt.Errorf("connect to NATS: %w", err)
	}
	return conn, nil
}

// Layout returns the streams and consumers that the settings ask for.
func Layout(settings config.Config, lowerReplicas bool) bus.Layout {
	return bus.Layout{
		Replicas: settings.NATSReplicas, AckWait: settings.ClaimTimeout, LowerReplicas: lowerReplicas,
		MaxAge: map[string]time.Duration{bus.StreamAdvisories: settings.AdvisoriesAge},
		MaxBytes: map[string]int64{
			bus.StreamEvents: int64(settings.EventsMaxBytes), bus.StreamAlerts: int64(settings.AlertsMaxBytes),
			bus.StreamAdvisories: int64(settings.AdvisoriesMaxBytes), bus.StreamDLQ: int64(settings.DLQMaxBytes),
		},
	}
}

// drainConn closes the connection after all buffered data is sent: acks are buffered too.
func drainConn(conn *nats.Conn) error {
	closed := make(chan struct{})
	conn.SetClosedHandler(func(*nats.Conn) { close(closed) })
	if conn.IsClosed() {
		return nil
	}
	if !conn.IsConnected() { // there is no server to send the data to
		conn.Close()
		return nil
	}
	if err := conn.Drain(); err != nil {
		return fmt.Errorf("drain NATS connection: %w", err)
	}
	timer := time.NewTimer(closeTime)
	defer timer.Stop()
	select {
	case <-closed:
	case <-timer.C:
		conn.Close()
	}
	return nil
}

// outboxPublisher lets the store's relay publish through the bus; the two packages do not know each other.
type outboxPublisher struct {
	bus       bus.Publisher
	tracing   *telemetry.Tracing
	rejection rejection
}

// rejection records since when the streams have rejected every message of this process.
type rejection struct {
	mu    sync.Mutex
	since time.Time // zero: they accept messages
	last  time.Time
}

const (
	// A rejection counts only after this time: a stream's leader may just be changing.
	rejectionPatience = 5 * time.Second
	// A rejected message is retried within 15 s. If it is not rejected again, another process has published it.
	rejectionAge = 20 * time.Second
)

func (r *rejection) note(deliveries []store.Delivery) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, delivery := range deliveries {
		if delivery != store.Failed {
			r.since = time.Time{}
			return
		}
	}
	now := time.Now()
	if r.since.IsZero() || now.Sub(r.last) > rejectionAge {
		r.since = now
	}
	r.last = now
}

// active returns for how long the streams have rejected everything, 0 if they accept messages.
func (r *rejection) active() time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.since.IsZero() || time.Since(r.last) > rejectionAge || r.last.Sub(r.since) < rejectionPatience {
		return 0
	}
	return time.Since(r.since)
}

// PublishBatch publishes a batch and returns the result for each message.
func (p *outboxPublisher) PublishBatch(ctx context.Context, messages []store.Message) []store.Delivery {
	batch := make([]bus.Outgoing, len(messages))
	spans := make([]telemetry.Span, len(messages))
	for i, message := range messages {
		spans[i] = p.tracing.Send(ctx, message.Subject, message.Headers)
		batch[i] = bus.Outgoing{Subject: message.Subject, ID: message.ID, Headers: message.Headers, Payload: message.Payload}
	}
	deliveries := make([]store.Delivery, len(messages))
	for i, err := range p.bus.Publish(ctx, batch) {
		spans[i].End(err)
		switch {
		case err == nil:
			deliveries[i] = store.Delivered
		case errors.Is(err, bus.ErrSubjectBusy) && bus.Coalesces(messages[i].Subject):
			deliveries[i] = store.Dropped
		case errors.Is(err, bus.ErrSubjectBusy):
			deliveries[i] = store.Busy
		default:
			deliveries[i] = store.Failed
			p.bus.Logger.Debug("not published", zap.String("subject", messages[i].Subject), zap.Error(err))
		}
	}
	p.rejection.note(deliveries)
	return deliveries
}
