package fault

import (
	"fmt"
	"runtime"
)

// PanicText says what a recovered panic was, for a log. It quotes what Go itself says, as of an index out of range, and no other value:
// that may have a record's text.
func PanicText(caught any) string {
	if own, ok := caught.(runtime.Error); ok {
		return own.Error()
	}
	return fmt.Sprintf("a value of type %T", caught)
}
