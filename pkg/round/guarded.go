package round

import (
	"runtime/debug"

	"go.uber.org/zap"

	"rollcall.dev/pkg/fault"
)

// PanicError is a panic that Guarded stopped.
type PanicError struct{ value any }

// Error returns no value that may have a record's text.
func (p *PanicError) Error() string { return "the work panicked: " + fault.PanicText(p.value) }

// Guarded calls work, and returns a panic as a PanicError: one customer's rows must not end the process, which works for others too.
// It logs the panic with its stack.
func Guarded(log *zap.Logger, work func() error) (err error) {
	defer func() {
		if caught := recover(); caught != nil {
			log.Error("work panicked", zap.String("panic", fault.PanicText(caught)), zap.ByteString("stack", debug.Stack()))
			err = &PanicError{value: caught}
		}
	}()
	return work()
}
