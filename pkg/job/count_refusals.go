package job

import (
	"errors"
	"fmt"

	"rollcall.dev/pkg/fault"
	"rollcall.dev/pkg/vomo"
)

// CountRefusals counts the attempts in a row that VOMO refused with a status without a meaning of its own: before of them,
// and the one that ended with outcome. One such answer comes from a balancer or a firewall in passing. When tries of them
// have come in a row the request itself is wrong, and last is the permanent fault that says so.
func CountRefusals(outcome error, before, tries int) (count int, last error) {
	if !errors.Is(outcome, vomo.ErrRefused) {
		return 0, nil
	}
	count = before + 1
	if count < tries {
		return count, nil
	}
	refused := outcome
	if coded, ok := errors.AsType[*fault.Error](outcome); ok {
		refused = coded.Err
	}
	return count, fault.Permanent(fault.CodeOf(outcome), fmt.Errorf("%w, in each of %d attempts in a row", refused, count))
}
