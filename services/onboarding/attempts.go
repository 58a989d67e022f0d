package main

import (
	"context"
	"sync"
	"time"

	"github.com/google/uuid"
	"go.uber.org/zap"

	"rollcall.dev/pkg/store"
)

const (
	// maxUnended is how many attempts at a message may have no end before it becomes a letter.
	maxUnended = 10
	// mostOwed bounds the ends that are kept in memory: one a message, and a message comes every few seconds at most.
	mostOwed   = 1000
	endTimeout = 2 * time.Second
)

// attempts notes in Postgres each attempt at a message before its work begins, and forgets it at any end. What stays are
// crashes, panics and kills. Ends that cannot be written are kept until the next attempt is noted.
type attempts struct {
	store  *store.Store
	logger *zap.Logger
	mu     sync.Mutex
	owed   []store.MessageAttempt
}

// begin notes an attempt at the message. tooMany says that so many before it have no end. Without a note there is no
// attempt: the caller does nothing, and it does not count.
func (a *attempts) begin(ctx context.Context, origin string) (attempt store.MessageAttempt, tooMany bool, err error) {
	attempt = store.MessageAttempt{Origin: origin, ID: uuid.New()}
	ended := a.take()
	unended, err := a.store.BeginAttempt(ctx, attempt, ended)
	if err != nil {
		// It may be noted all the same, where the answer was lost.
		a.owe(append(ended, attempt)...)
		return attempt, false, err
	}
	return attempt, unended >= maxUnended, nil
}

// end notes that the attempt has come to an end, whichever.
func (a *attempts) end(ctx context.Context, attempt store.MessageAttempt) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTimeout)
	defer cancel()
	if err := a.store.EndAttempt(ctx, attempt); err != nil {
		a.logger.Debug("end of an attempt not noted yet", zap.Error(err))
		a.owe(attempt)
	}
}

func (a *attempts) take() []store.MessageAttempt {
	a.mu.Lock()
	defer a.mu.Unlock()
	owed := a.owed
	a.owed = nil
	return owed
}

// owe keeps the newest ends: what an older one leaves behind counts as one crash of its message.
func (a *attempts) owe(ended ...store.MessageAttempt) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.owed = append(a.owed, ended...)
	a.owed = a.owed[max(len(a.owed)-mostOwed, 0):]
}
