package budget

import (
	"context"
	"time"
)

// OnWait has the account call wait instead of sleeping until its grant.
func (a *Account) OnWait(wait func(ctx context.Context, d time.Duration) error) { a.wait = wait }

// OnWait has the account call wait instead of sleeping until its grant.
func (a *HourlyAccount) OnWait(wait func(ctx context.Context, d time.Duration) error) { a.wait = wait }
