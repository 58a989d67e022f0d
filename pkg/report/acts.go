package report

import (
	"context"

	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/store"
)

// Acts answers rollcall.api.audit.ls.
func Acts(ctx context.Context, from *store.Store, question operatorapi.ActsQuestion) (operatorapi.ActsReply, error) {
	reply := operatorapi.ActsReply{Acts: []operatorapi.Act{}}
	limit := pageLimit(question.Limit, operatorapi.MaxActs)
	acts, err := from.Acts(ctx, store.ActsAsked{
		Customer: question.CustomerID, Verb: question.Verb, Operator: question.Operator, Since: question.Since, Before: question.Before,
		AtMost: limit + 1, // one more tells whether this page is the last
	})
	if err != nil {
		return reply, err
	}
	size := 0
	for i, act := range acts {
		shown := operatorapi.Act{
			ID: act.ID, At: act.At, Operator: nullable(act.Operator), NATSUser: nullable(act.NATSUser), Via: act.Via, Verb: act.Verb,
			CustomerID: nullable(act.Customer), Filter: act.Filter, Outcome: act.Outcome, Code: nullable(act.Code), Result: act.Result,
		}
		fits, err := fit(&size, shown, i)
		if err != nil {
			return reply, err
		}
		if i == int(limit) || !fits {
			reply.Next = &acts[i-1].ID
			return reply, nil
		}
		reply.Acts = append(reply.Acts, shown)
	}
	return reply, nil
}

// nullable returns nil for a text that is not known.
func nullable(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}
