package service

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"go.uber.org/zap"

	"rollcall.dev/pkg/operatoraudit"
	"rollcall.dev/pkg/store"
)

// readVerbs are the verbs of endpoints that change nothing. Any other verb is an act: a new one is audited unless it is
// listed here.
var readVerbs = []string{"count", "deliveries", "export", "get", "ls", "payload", "show"} //nolint:gochecknoglobals // a constant list

// endActTimeout is how long the end of an act may take to be noted: the caller waits for the answer.
const endActTimeout = 2 * time.Second

// actName is the name of an endpoint in the audit, and whether a call of it is an act.
type actName struct {
	verb string
	act  bool
}

func actVerb(noun, verb string) actName {
	return actName{verb: noun + "." + verb, act: !slices.Contains(readVerbs, verb)}
}

// act is a call of an endpoint that may be audited.
type act struct {
	service   *Service
	row       store.Act
	id        int64 // 0: no row yet
	isAct     bool
	disclosed bool // a read that showed what was sealed
}

type actKey struct{}

// Disclosed notes that a read shows the caller something that is stored sealed, such as a destination's answer: the read is
// audited then.
func Disclosed(ctx context.Context) {
	if one, ok := ctx.Value(actKey{}).(*act); ok {
		one.disclosed = true
	}
}

// Operator returns the name that the caller of an endpoint gave, or that of its NATS user; "" if there is neither.
func Operator(ctx context.Context) string {
	one, ok := ctx.Value(actKey{}).(*act)
	if !ok {
		return ""
	}
	return cmp.Or(one.row.Operator, one.row.NATSUser)
}

// beginAct notes that an act begins. For a read it notes nothing yet.
func (s *Service) beginAct(ctx context.Context, name actName, header map[string][]string, question any) (context.Context, *act, error) {
	filter, err := operatoraudit.FilterOf(question)
	if err != nil {
		return ctx, nil, err
	}
	one := &act{service: s, isAct: name.act, row: store.Act{
		Via: store.ViaAPI, Verb: name.verb, Customer: operatoraudit.CustomerOf(question), Filter: filter, Outcome: store.ActBegun,
	}}
	operatoraudit.Identify(&one.row, header)
	if one.isAct {
		if one.id, err = s.Store.NoteAct(ctx, one.row); err != nil {
			return ctx, nil, fmt.Errorf("audit %s: %w", name.verb, err)
		}
	}
	return context.WithValue(ctx, actKey{}, one), one, nil
}

// end notes how an act ended, and returns the error for the caller. A read that disclosed something is noted here, and
// shows nothing if it cannot be noted.
func (a *act) end(ctx context.Context, reply any, failure error) error {
	switch {
	case a.isAct:
		a.note(ctx, reply, failure)
	case a.disclosed && failure == nil:
		a.row.Outcome = store.ActDone
		if _, err := a.service.Store.NoteAct(ctx, a.row); err != nil {
			return fmt.Errorf("audit %s: %w", a.row.Verb, err)
		}
	}
	return failure
}

// note notes the outcome. If that fails, the act stays noted as begun.
func (a *act) note(ctx context.Context, reply any, failure error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), endActTimeout)
	defer cancel()
	outcome, code := outcomeOf(failure)
	var result json.RawMessage
	var err error
	if failure == nil {
		result, err = operatoraudit.ResultOf(reply)
	}
	if err == nil {
		err = a.service.Store.EndAct(ctx, a.id, outcome, code, result)
	}
	if err != nil {
		a.service.Logger.Warn("outcome of an operator's act not noted", zap.String("verb", a.row.Verb), zap.Int64("act", a.id), zap.Error(err))
	}
}

// outcomeOf returns the outcome and the code of an act, by the error that the caller gets.
func outcomeOf(failure error) (outcome, code string) {
	if failure == nil {
		return store.ActDone, ""
	}
	if code, _ = errorFor(failure); code == CodeInternal {
		return store.ActFailed, code
	}
	return store.ActRejected, code
}
