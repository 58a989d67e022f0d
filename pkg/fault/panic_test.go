package fault_test

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/fault"
)

func TestPanicTextQuotesGoAloneAndNoRecord(t *testing.T) {
	t.Parallel()
	caught := func(work func()) (value any) {
		defer func() { value = recover() }()
		work()
		return nil
	}
	empty := []string{}
	require.Equal(t, "runtime error: index out of range [3] with length 0", fault.PanicText(caught(func() { _ = empty[len("ana")] })))
	require.Equal(t, "a value of type string", fault.PanicText(caught(func() { panic("ana@people.example") })))
	require.Equal(t, "a value of type *errors.errorString", fault.PanicText(caught(func() { panic(errors.New("ana@people.example")) })))
}
