package round

import (
	"fmt"
	"runtime/debug"

	"go.uber.org/zap"
)

// PanicError is a panic that Guarded stopped.
type PanicError struct{ value any }

// Error does not quote the panic's value, which may have a record's text.
func (p *PanicError) Error() string {
	return fmt.Sprintf("the work panicked with a value of type %T", p.value)
}

// Guarded calls work, and returns a panic as a PanicError: one customer's rows must not end the process, which works for others too.
// It logs the panic with its stack.
func Guarded(log *zap.Logger, work func() error) (err error) {
	defer func() {
		if caught := recover(); caught != nil {
			log.Error("work panicked", zap.Any("panic", caught), zap.ByteString("stack", debug.Stack()))
			err = &PanicError{value: caught}
		}
	}()
	return work()
}
