package destination

import "context"

type leaveKey struct{}

// withLeave has the request that is made under ctx ask again, as its bytes leave, whether they still may.
func withLeave(ctx context.Context, ask func() error) context.Context {
	if ask == nil {
		return ctx
	}
	return context.WithValue(ctx, leaveKey{}, ask)
}

// LeaveOf gives the question that GuardConfig.Leave put into a request's context, nil where there is none. A kind
// of destination asks it as late as it can, best right before each write to the connection: between the check
// before an attempt and its first byte lie a lookup, a handshake and, on a machine that sleeps, any time at all.
func LeaveOf(ctx context.Context) func() error {
	ask, _ := ctx.Value(leaveKey{}).(func() error)
	return ask
}
