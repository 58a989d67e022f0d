package destination

import "context"

type leaveKey struct{}

// withLeave adds the check to the context of a request, so that it runs again when the request's bytes are sent.
func withLeave(ctx context.Context, ask func() error) context.Context {
	if ask == nil {
		return ctx
	}
	return context.WithValue(ctx, leaveKey{}, ask)
}

// LeaveOf returns the check that GuardConfig.Leave put into a request's context, nil if there is none. A destination
// calls it as late as possible, best right before each write to the connection: between the check before an attempt
// and its first byte are a lookup, a handshake and, on a machine that is suspended, any amount of time.
func LeaveOf(ctx context.Context) func() error {
	ask, _ := ctx.Value(leaveKey{}).(func() error)
	return ask
}
