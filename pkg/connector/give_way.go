package connector

import (
	"context"
	"errors"

	"rollcall.dev/pkg/fault"
)

// ErrGaveWay means that a request was not sent, because it was to give way to another job.
var ErrGaveWay = errors.New("the request gave way to another job")

type giveWayKey struct{}

// GiveWay returns a context whose requests to Virtuous are sent until `until` ends: from then on none is begun, nor waits for its turn in the
// budget. One that has left is not interrupted.
func GiveWay(ctx, until context.Context) context.Context {
	return context.WithValue(ctx, giveWayKey{}, until)
}

// GivesWay returns ErrGaveWay if requests of the context are to give way now.
func GivesWay(ctx context.Context) error {
	if until, ok := ctx.Value(giveWayKey{}).(context.Context); ok && until.Err() != nil && ctx.Err() == nil {
		return fault.Unknown("gave_way", ErrGaveWay)
	}
	return nil
}

// waiting calls wait with a context that also ends when the request is to give way.
func waiting(ctx context.Context, wait func(ctx context.Context) error) error {
	until, ok := ctx.Value(giveWayKey{}).(context.Context)
	if !ok {
		return wait(ctx)
	}
	if err := GivesWay(ctx); err != nil {
		return err
	}
	bounded, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(until, cancel)
	defer stop()
	err := wait(bounded)
	if err != nil && bounded.Err() != nil {
		if gaveWay := GivesWay(ctx); gaveWay != nil {
			return gaveWay
		}
	}
	return err
}
