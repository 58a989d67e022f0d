package main

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"
	"time"

	"go.uber.org/zap"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/giving/inbox"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/telemetry"
	"rollcall.dev/pkg/virtuous"
)

// receiver answers deliveries of webhooks.
type receiver struct {
	keys            *keyring
	store           *store.Store
	publish         func(ctx context.Context, batch []bus.Outgoing) []error
	isConnected     func() bool
	signatureHeader string
	maxBody         int64
	storeTime       time.Duration // how long it may take until a delivery is durable
	bodies          *bodies
	decoy           []byte // the secret of unknown customers
	logger          *zap.Logger
	metrics         *metrics
	now             func() time.Time
	failures        failureCounts // of signatures
}

// newDecoy returns a secret that no sender has: an unknown customer's signature is computed like any other.
func newDecoy() []byte {
	decoy := make([]byte, 32)
	_, _ = rand.Read(decoy) // never fails
	return decoy
}

// routes returns what the service answers.
func (r *receiver) routes() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/webhooks/virtuous/{customer}", r)
	return mux
}

// ServeHTTP answers one request on /webhooks/virtuous/{customer}. No answer says more than its status.
func (r *receiver) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	status := r.handle(w, request)
	r.metrics.answered(status)
	if status == http.StatusMethodNotAllowed {
		w.Header().Set("Allow", http.MethodPost)
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Content-Length", "0")
	w.WriteHeader(status)
}

func (r *receiver) handle(w http.ResponseWriter, request *http.Request) int {
	receivedAt := r.now()
	switch {
	case request.Method != http.MethodPost:
		return http.StatusMethodNotAllowed
	case !isJSON(request.Header):
		return http.StatusUnsupportedMediaType
	case request.ContentLength > r.maxBody:
		return http.StatusRequestEntityTooLarge
	}
	customer := request.PathValue("customer")
	isKnown, err := r.keys.isKnown(request.Context(), customer)
	if err != nil {
		r.logger.Warn("delivery not accepted: the secrets cannot be read", zap.String("customer", customer), zap.Error(err))
		return http.StatusServiceUnavailable
	}
	release, err := r.bodies.take(request.Context(), customer, isKnown)
	switch {
	case errors.Is(err, errNotRead):
		// It is read as any other is, and not kept: an answer before its end would say that there is no such customer.
		return r.discard(w, request)
	case err != nil:
		return http.StatusServiceUnavailable
	}
	defer release()
	body, err := io.ReadAll(http.MaxBytesReader(w, request.Body, r.maxBody))
	if err != nil {
		return statusOfUnread(err)
	}
	return r.accept(request, body, receivedAt)
}

// discard reads a body that cannot be accepted, and answers what it would be answered.
func (r *receiver) discard(w http.ResponseWriter, request *http.Request) int {
	if _, err := io.Copy(io.Discard, http.MaxBytesReader(w, request.Body, r.maxBody)); err != nil {
		return statusOfUnread(err)
	}
	return http.StatusUnauthorized
}

// statusOfUnread returns the answer to a body that could not be read to its end.
func statusOfUnread(err error) int {
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		return http.StatusRequestEntityTooLarge
	}
	return http.StatusBadRequest // the sender stopped: it gets no answer
}

// isJSON reports whether a request says that its body is JSON, or does not say what it is.
func isJSON(header http.Header) bool {
	if encoding := header.Get("Content-Encoding"); encoding != "" && !strings.EqualFold(encoding, "identity") {
		return false
	}
	named := header.Get("Content-Type")
	if named == "" {
		return true
	}
	media, _, err := mime.ParseMediaType(named)
	return err == nil && (media == "application/json" || media == "text/json" || strings.HasSuffix(media, "+json"))
}

// accept checks the signature of a body and stores its records.
func (r *receiver) accept(request *http.Request, body []byte, receivedAt time.Time) int {
	ctx, cancel := context.WithTimeout(request.Context(), r.storeTime)
	defer cancel()
	customer, signature := request.PathValue("customer"), request.Header.Get(r.signatureHeader)
	log := r.logger
	keys, fits, err := r.keysFor(ctx, customer, signature, body)
	if err != nil {
		log.Warn("delivery not accepted: the secrets cannot be read", zap.String("customer", customer), zap.Error(err))
		return http.StatusServiceUnavailable
	}
	if keys == nil {
		return http.StatusUnauthorized
	}
	if !fits {
		r.noteWrongSignature(ctx, customer)
		return http.StatusUnauthorized
	}
	r.failures.forget(customer)
	log = log.With(zap.String("customer", customer))
	delivery, err := virtuous.ParseDelivery(body)
	if err != nil {
		return r.rejectUnreadable(ctx, log, customer, keys, body, receivedAt)
	}
	if delivery.Event == virtuous.OtherEvent {
		r.metrics.ignored()
		return http.StatusOK
	}
	stored, err := r.keep(ctx, customer, keys, delivery, receivedAt)
	if err != nil {
		log.Warn("delivery not accepted: not all of it is durable", zap.Int("records", len(delivery.Models)), zap.Error(err))
		return http.StatusServiceUnavailable
	}
	if !keys.noted.Swap(true) {
		if err := r.store.NoteWebhook(ctx, customer); err != nil { // the delivery is durable all the same
			log.Warn("time of a delivery not noted", zap.Error(err))
		}
		r.clearSignatureAlert(ctx, customer)
	}
	r.metrics.stored(delivery.Event.String(), len(delivery.Models))
	log.Info("delivery accepted", zap.Stringer("event", delivery.Event), zap.Int("records", len(delivery.Models)), zap.Int("parts", stored),
		zap.Int("bytes", len(body)))
	return http.StatusOK
}

// keysFor returns the customer's keys, and whether the signature fits one of its secrets. If it fits none of those that were valid a second ago,
// they are asked for again. keys is nil if the customer is unknown, which takes as long as a wrong signature does.
func (r *receiver) keysFor(ctx context.Context, customer, signature string, body []byte) (keys *customerKeys, fits bool, err error) {
	keys, err = r.keys.of(ctx, customer)
	if err == nil {
		if virtuous.VerifySignature(signature, body, keys.secrets...) {
			return keys, true, nil
		}
		tried := keys
		if keys, err = r.keys.ask(ctx, customer); err == nil {
			return keys, keys != tried && virtuous.VerifySignature(signature, body, keys.secrets...), nil
		}
	}
	if errors.Is(err, errUnknownCustomer) {
		virtuous.VerifySignature(signature, body, r.decoy)
		return nil, false, nil
	}
	return nil, false, err
}

// rejectUnreadable keeps a signed body that is no delivery, so that an operator sees it.
func (r *receiver) rejectUnreadable(
	ctx context.Context, log *zap.Logger, customer string, keys *customerKeys, body []byte, receivedAt time.Time,
) int {
	part, err := inbox.Part{
		Customer: customer, Event: inbox.EventUnreadable, Records: 1, Body: body, ReceivedAt: receivedAt, TraceID: telemetry.TraceParent(ctx),
	}.Message(keys.parts)
	if err == nil {
		err = r.openLetter(ctx, part)
	}
	if err != nil {
		log.Warn("unreadable delivery not kept", zap.Error(err))
		return http.StatusServiceUnavailable
	}
	log.Warn("delivery rejected: it is in no known form", zap.Int("bytes", len(body)))
	return http.StatusBadRequest
}
