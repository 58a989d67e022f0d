package virtuous

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"rollcall.dev/pkg/fault"
)

// Verdict is what became of a submission.
type Verdict int

const (
	// Unsent: the request did not leave: Before did not permit it, the circuit breaker is open, the context ended, or no
	// connection was made.
	Unsent Verdict = iota
	// Accepted: Virtuous has the transaction.
	Accepted
	// Repeated: Virtuous had the transaction before: an earlier attempt was accepted.
	Repeated
	// Unclear: Virtuous may have the transaction or not (MayBeAccepted): no answer, a status from 500 on, a page
	// instead of an answer, or a rejection that was not read whole. Submit it again later; look it up first if MayBeAccepted.
	Unclear
	// Throttled: Virtuous asked for a slower pace, and does not have the transaction.
	Throttled
	// Unauthorized: Virtuous rejected the key.
	Unauthorized
	// Forbidden: the key may not submit transactions.
	Forbidden
	// Refused: Virtuous rejects this transaction as it is; the same request again has the same answer.
	Refused
)

// String returns the verdict in lower case, for logs and metrics.
func (v Verdict) String() string {
	switch v {
	case Unsent:
		return "unsent"
	case Accepted:
		return "accepted"
	case Repeated:
		return "repeated"
	case Unclear:
		return "unclear"
	case Throttled:
		return "throttled"
	case Unauthorized:
		return "unauthorized"
	case Forbidden:
		return "forbidden"
	case Refused:
		return "refused"
	}
	return "unknown"
}

// Outcome is the result of a submission.
type Outcome struct {
	Verdict       Verdict
	MayBeAccepted bool          // with Unclear: the request was sent, and nothing says that it was not accepted
	Status        int           // 0: there was no answer
	RequestID     string        // the request's id at Virtuous, "" if there is none
	Problems      []Problem     // with Refused: what Virtuous complains about
	After         time.Duration // the pause that Virtuous asked for; 0: it named none
	Date          time.Time     // Virtuous' clock, zero if there is none
	// Err is why the transaction is neither Accepted nor Repeated, with a kind and code of package fault. It is permanent
	// with Refused.
	Err error
}

// IsIn reports whether Virtuous has the transaction.
func (o Outcome) IsIn() bool { return o.Verdict == Accepted || o.Verdict == Repeated }

// LastError returns what may be kept and shown of a failure: status, fields and codes. It is empty after a success.
func (o Outcome) LastError() string {
	switch {
	case o.IsIn():
		return ""
	case o.Status == 0:
		return fault.CodeOf(o.Err)
	case len(o.Problems) == 0:
		return fmt.Sprintf("status %d", o.Status)
	}
	return fmt.Sprintf("status %d: %s", o.Status, describe(o.Problems))
}

// existingGift and existingContact are the texts by which Virtuous says that it has a transaction of this source and id. They are the only texts
// of an answer that decide anything: the status of such an answer is not documented. That of a contact is not documented either, so both count there.
const (
	existingGift    = "gift transaction already exists"
	existingContact = "contact transaction already exists"
)

// SubmitGift submits one transaction: body is the JSON of the whole request. It makes one attempt. The same source and
// id again make no second gift, so a caller may repeat it until Virtuous has it.
func (c *Client) SubmitGift(ctx context.Context, body []byte) Outcome {
	one := call{method: http.MethodPost, path: []string{"v2", "Gift", "Transaction"}, body: body, use: UseSubmit}
	return c.submit(ctx, one, existingGift)
}

// SubmitContact submits the transaction of one contact, as SubmitGift does that of a gift.
func (c *Client) SubmitContact(ctx context.Context, body []byte) Outcome {
	one := call{method: http.MethodPost, path: []string{"Contact", "Transaction"}, body: body, use: UseSubmit}
	return c.submit(ctx, one, existingContact, existingGift)
}

// SubmitGifts submits several transactions of one source in one request. Any outcome but Accepted says nothing about the
// single transactions: Virtuous may have some of them. Submit each alone then.
func (c *Client) SubmitGifts(ctx context.Context, source string, transactions []json.RawMessage) Outcome {
	body, err := json.Marshal(struct {
		TransactionSource string            `json:"transactionSource"`
		Transactions      []json.RawMessage `json:"transactions"`
	}{source, transactions})
	if err != nil {
		return Outcome{Err: fault.Permanent("virtuous_transaction_invalid", errors.New("a transaction is no JSON"))}
	}
	one := call{method: http.MethodPost, path: []string{"v2", "Gift", "Transactions"}, body: body, use: UseSubmit}
	return c.submit(ctx, one)
}

// submit makes one attempt. exists are the texts that mean that Virtuous has the transaction.
func (c *Client) submit(ctx context.Context, one call, exists ...string) Outcome {
	r, err := c.do(ctx, one)
	if err == nil {
		return judge(r, one, exists)
	}
	err = fmt.Errorf("submit to Virtuous: %w", err)
	if _, unsent := errors.AsType[*unsentError](err); unsent {
		return Outcome{Verdict: Unsent, Err: err}
	}
	return Outcome{Verdict: Unclear, MayBeAccepted: true, Err: err}
}

// judge returns the outcome of an answer. The status decides. The body decides only whether a success is one, and whether
// a rejection means that Virtuous has the transaction.
func judge(r reply, one call, exists []string) Outcome {
	o := Outcome{Status: r.status, RequestID: r.requestID, After: r.after, Date: r.date}
	err := statusFault(r, one)
	switch {
	case err == nil && isSubmitted(r):
		o.Verdict = Accepted
		return o
	case err == nil:
		err = unknownAnswer(r, "it is neither empty nor JSON")
		o.Verdict, o.MayBeAccepted = Unclear, true
	case hasAny(bytes.ToLower(r.body), exists):
		o.Verdict = Repeated
		return o
	case r.status == http.StatusTooManyRequests:
		o.Verdict = Throttled
	case r.status == http.StatusUnauthorized:
		o.Verdict = Unauthorized
	case r.status == http.StatusForbidden:
		o.Verdict = Forbidden
	case r.status == http.StatusRequestTimeout, r.status >= 500:
		o.Verdict, o.MayBeAccepted = Unclear, true
	case r.status < 400: // a redirect: what answered did not accept the transaction
		o.Verdict = Unclear
	case r.partial: // the rest of the body may say that Virtuous has the transaction
		err = unknownAnswer(r, "it could not be read whole")
		o.Verdict, o.MayBeAccepted = Unclear, true
	default:
		o.Verdict, o.Problems = Refused, Problems(err)
		if err = refusal(err); o.Problems == nil {
			o.Problems = problemsOf(r.body, one.body)
		}
	}
	o.Err = fmt.Errorf("submit to Virtuous: %w", err)
	return o
}

func hasAny(body []byte, texts []string) bool {
	return slices.ContainsFunc(texts, func(text string) bool { return bytes.Contains(body, []byte(text)) })
}

// isSubmitted reports whether the body of a success is that of an API: empty, as recorded, or any JSON.
func isSubmitted(r reply) bool {
	if len(bytes.TrimSpace(r.body)) == 0 {
		return !r.oversized
	}
	_, isJSON := document(r.body)
	return isJSON
}

// refusal makes the fault of a rejected request permanent.
func refusal(err error) error {
	code := fault.CodeOf(err)
	if answer, ok := errors.AsType[*AnswerError](err); ok {
		return fault.Permanent(code, answer)
	}
	return fault.Permanent(code, err)
}
