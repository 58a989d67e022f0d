package httpapi

import (
	"bytes"
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"
	"go.uber.org/zap"

	"rollcall.dev/pkg/store"
	"rollcall.dev/services/console/internal/access"
)

const (
	idempotencyKey     = "Idempotency-Key"
	idempotentReplayed = "Idempotent-Replayed"
	longestKey         = 255
	purposeAnswer      = "idempotent_answer"
	// keyLease is for how long a request without an answer counts as under way. It is longer than the slowest operation.
	keyLease = time.Minute
	// keepWithin bounds the keeping of an answer, which the end of the client's connection does not stop.
	keepWithin  = 5 * time.Second
	readsWithin = 5 * time.Second // a body, as package huma has it
)

// keyHeader is the header as the document has it.
func keyHeader() *huma.Param {
	least, most := 1, longestKey
	return &huma.Param{
		Name: idempotencyKey, In: "header",
		Description: "A text of the client's that is new for each act, such as a UUID. The same request with the same key gets the first answer again, for a day.",
		Schema:      &huma.Schema{Type: huma.TypeString, MinLength: &least, MaxLength: &most, Pattern: "^[ -~]+$"},
	}
}

// heldKey is a key that this request has.
type heldKey struct {
	principal, customer string
	key                 []byte // its hash
	holder              uuid.UUID
}

// keptAnswer is an answer as it is sealed.
type keptAnswer struct {
	Header http.Header `json:"header"`
	Body   []byte      `json:"body"`
}

// once answers a repeated request with what the first one got, if the client names a key. It runs behind the guard: a principal that lost its right
// gets no answer of before.
func (a *api) once(longestBody int64) func(huma.Context, func(huma.Context)) {
	return func(ctx huma.Context, next func(huma.Context)) {
		key := ctx.Header(idempotencyKey)
		if key == "" {
			next(ctx)
			return
		}
		if !printableKey(key) {
			a.refuseKey(ctx, http.StatusUnprocessableEntity, "must be 1 to 255 printable characters of ASCII")
			return
		}
		_ = ctx.SetReadDeadline(time.Now().Add(readsWithin)) // without one, the client's own pace holds
		body, err := io.ReadAll(io.LimitReader(ctx.BodyReader(), longestBody+1))
		again := reread{humaContext: ctx, read: io.MultiReader(bytes.NewReader(body), ctx.BodyReader())}
		if err != nil || int64(len(body)) > longestBody {
			next(&again) // the operation says what is wrong with the body
			return
		}
		held := heldKey{principal: access.From(ctx.Context()).ID, customer: ctx.Param("customer"), key: hashOf(key), holder: uuid.New()}
		taken, err := a.take(ctx, held, requestHash(ctx, key, body))
		if err != nil {
			a.Logger.Warn("idempotency key not taken", zap.Error(err))
			ctx.SetHeader("Retry-After", retryAfter)
			a.refuse(ctx, http.StatusServiceUnavailable, "the key could not be looked up")
			return
		}
		if taken {
			a.act(&capture{reread: again, kept: keptAnswer{Header: http.Header{}}}, held, next)
		}
	}
}

// act lets the operation act, keeps its answer, and sends it.
func (a *api) act(captured *capture, held heldKey, next func(huma.Context)) {
	ended := false
	defer func() {
		if !ended { // a panic: the server closes the connection, and the next request may act at once
			a.keep(captured, held, http.StatusInternalServerError)
		}
	}()
	next(captured)
	ended = true
	status := cmp.Or(captured.status, http.StatusOK)
	a.keep(captured, held, status)
	captured.humaContext.SetStatus(status)
	_, _ = captured.humaContext.BodyWriter().Write(captured.kept.Body) // the client may have closed the connection
}

// take takes the key. If it has an answer, another request, or one that is under way, take answers.
func (a *api) take(ctx huma.Context, held heldKey, request []byte) (taken bool, err error) {
	for range 2 { // what was there may have been deleted a moment ago
		count, err := a.Store.TakeIdempotencyKey(ctx.Context(), store.TakenKey{
			Principal: held.principal, KeyHash: held.key, RequestHash: request, Holder: held.holder, Lease: keyLease, Customer: held.customer, Age: a.KeyAge,
		})
		if err != nil || count > 0 {
			return count > 0, err
		}
		found, err := a.Store.IdempotencyKey(ctx.Context(), held.principal, held.key)
		if errors.Is(err, store.ErrNotFound) {
			continue
		}
		if err != nil {
			return false, err
		}
		switch {
		case subtle.ConstantTimeCompare(found.RequestHash, request) == 0:
			a.refuseKey(ctx, http.StatusUnprocessableEntity, "was sent with another request before: use a new key for each act")
		case found.Status == 0:
			ctx.SetHeader("Retry-After", strconv.Itoa(max(found.LeaseSeconds, 1)))
			a.refuse(ctx, http.StatusConflict, "the first request with this "+idempotencyKey+" is under way")
		default:
			return false, a.replay(ctx, found.Status, found.AnswerSealed)
		}
		return false, nil
	}
	return false, errors.New("the key is deleted again and again")
}

// replay sends an answer again.
func (a *api) replay(ctx huma.Context, status int, sealed []byte) error {
	plain, err := a.Vault.OpenForInstallation(ctx.Context(), purposeAnswer, sealed)
	if err != nil {
		return err
	}
	var answer keptAnswer
	if err := json.Unmarshal(plain, &answer); err != nil {
		return fmt.Errorf("read kept answer: %w", err)
	}
	for name, values := range answer.Header {
		for _, value := range values {
			ctx.AppendHeader(name, value)
		}
	}
	ctx.SetHeader(idempotentReplayed, "true")
	ctx.SetStatus(status)
	_, _ = ctx.BodyWriter().Write(answer.Body) // the client may have closed the connection
	return nil
}

// keep keeps the answer, or gives the key up: after a failure the same request may act. If the answer cannot be kept, the key stays under way until
// its lease ends.
func (a *api) keep(captured *capture, held heldKey, status int) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(captured.Context()), keepWithin)
	defer cancel()
	var err error
	if status >= http.StatusInternalServerError {
		err = a.Store.GiveUpIdempotencyKey(ctx, held.principal, held.key, held.holder)
	} else {
		err = a.seal(ctx, captured.kept, held, status)
	}
	if err != nil {
		a.Logger.Warn("answer to a request with an idempotency key not kept", zap.Error(err))
	}
}

func (a *api) seal(ctx context.Context, answer keptAnswer, held heldKey, status int) error {
	plain, err := json.Marshal(answer)
	if err != nil {
		return fmt.Errorf("encode answer: %w", err)
	}
	sealed, err := a.Vault.SealForInstallation(ctx, purposeAnswer, plain)
	if err != nil {
		return err
	}
	customer := held.customer
	if customer == "" {
		var about struct {
			CustomerID string `json:"customerId"`
		}
		_ = json.Unmarshal(answer.Body, &about) // a body of another form is about no single customer
		customer = about.CustomerID
	}
	count, err := a.Store.KeepIdempotentAnswer(ctx, store.AnswerKept{
		Status: status, AnswerSealed: sealed, Customer: customer,
		Principal: held.principal, KeyHash: held.key, Holder: held.holder,
	})
	if err != nil || count > 0 {
		return err
	}
	return a.Store.GiveUpIdempotencyKey(ctx, held.principal, held.key, held.holder) // of an offboarded customer nothing is kept
}

func (a *api) refuseKey(ctx huma.Context, status int, text string) {
	_ = huma.WriteErr(a.huma, ctx, status, "validation failed", &huma.ErrorDetail{Location: "header." + idempotencyKey, Message: text})
}

func printableKey(key string) bool {
	for _, char := range []byte(key) {
		if char < ' ' || char > '~' {
			return false
		}
	}
	return len(key) <= longestKey
}

func hashOf(key string) []byte {
	sum := sha256.Sum256([]byte(key))
	return sum[:]
}

// requestHash is keyed, because a body may hold little that is not known, such as a donor's name.
func requestHash(ctx huma.Context, key string, body []byte) []byte {
	sum := hmac.New(sha256.New, []byte(key))
	address := ctx.URL()
	for _, part := range [][]byte{[]byte(ctx.Method()), []byte(address.RequestURI()), body} {
		_, _ = fmt.Fprintf(sum, "%d\n", len(part)) // a hash takes everything
		_, _ = sum.Write(part)
	}
	return sum.Sum(nil)
}

type humaContext = huma.Context

// reread is a request whose body was read before.
type reread struct {
	humaContext

	read io.Reader
}

// Unwrap returns the context of the server.
func (r *reread) Unwrap() huma.Context { return r.humaContext }

// BodyReader returns the body.
func (r *reread) BodyReader() io.Reader { return r.read }

// capture keeps an answer instead of sending its status and body. Headers are kept and sent.
type capture struct {
	reread

	status int
	kept   keptAnswer
}

// SetStatus keeps the status.
func (c *capture) SetStatus(status int) { c.status = status }

// Status returns the kept status.
func (c *capture) Status() int { return c.status }

// SetHeader keeps and sets a header.
func (c *capture) SetHeader(name, value string) {
	c.kept.Header.Set(name, value)
	c.humaContext.SetHeader(name, value)
}

// AppendHeader keeps and appends a header.
func (c *capture) AppendHeader(name, value string) {
	c.kept.Header.Add(name, value)
	c.humaContext.AppendHeader(name, value)
}

// BodyWriter keeps the body.
func (c *capture) BodyWriter() io.Writer { return (*bodyWriter)(&c.kept) }

type bodyWriter keptAnswer

// Write keeps a part of the body.
func (w *bodyWriter) Write(part []byte) (int, error) {
	w.Body = append(w.Body, part...)
	return len(part), nil
}
