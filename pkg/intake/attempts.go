package intake

import (
	"context"
	"sync"
	"time"

	"github.com/google/uuid"
	"go.uber.org/zap"

	"rollcall.dev/pkg/store"
)

const (
	// maxUnfinished is how many noted attempts at a message may stay unfinished before it becomes a letter.
	maxUnfinished = 10
	// maxUnnoted limits the finished attempts that are kept in memory: one for each message that was delivered again.
	maxUnnoted = 1000
	endTimeout = 2 * time.Second
)

// attempts notes each attempt at a message, but the first, in Postgres before its work begins, and deletes the note when the attempt finishes.
// The notes that remain are crashes, panics and kills. Finished attempts whose note cannot be deleted are kept in memory until
// the next attempt is noted.
type attempts struct {
	store   *store.Store
	logger  *zap.Logger
	mu      sync.Mutex
	unnoted []store.MessageAttempt
}

// begin notes an attempt at the message. tooMany says that too many earlier attempts did not finish. If begin fails, the
// caller does nothing, and the attempt does not count.
func (a *attempts) begin(ctx context.Context, origin string) (attempt store.MessageAttempt, tooMany bool, err error) {
	attempt = store.MessageAttempt{Origin: origin, ID: uuid.New()}
	ended := a.takeUnnoted()
	unfinished, err := a.store.BeginAttempt(ctx, attempt, ended)
	if err != nil {
		// The attempt may be noted nevertheless, if only the answer was lost.
		a.addUnnoted(append(ended, attempt)...)
		return attempt, false, err
	}
	return attempt, unfinished >= maxUnfinished, nil
}

// end notes that the attempt has finished, with or without success.
func (a *attempts) end(ctx context.Context, attempt store.MessageAttempt) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTimeout)
	defer cancel()
	if err := a.store.EndAttempt(ctx, attempt.Origin, attempt.ID); err != nil {
		a.logger.Debug("finished attempt not noted yet", zap.Error(err))
		a.addUnnoted(attempt)
	}
}

func (a *attempts) takeUnnoted() []store.MessageAttempt {
	a.mu.Lock()
	defer a.mu.Unlock()
	unnoted := a.unnoted
	a.unnoted = nil
	return unnoted
}

// addUnnoted keeps the newest finished attempts. An older one that is dropped counts as one crash of its message.
func (a *attempts) addUnnoted(ended ...store.MessageAttempt) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.unnoted = append(a.unnoted, ended...)
	a.unnoted = a.unnoted[max(len(a.unnoted)-maxUnnoted, 0):]
}
