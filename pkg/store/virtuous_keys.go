package store

import "context"

// KeyWorked notes that Virtuous accepted the customer's key. It writes once an hour, and when a rejection is over.
func (c Conn) KeyWorked(ctx context.Context, customer string) error {
	return c.queries.KeyWorked(ctx, c.dbtx, customer)
}

// KeyRefused notes that Virtuous rejected the customer's key. One that had worked, and for which giving is switched off, is tried again in
// an hour.
func (t *Tx) KeyRefused(ctx context.Context, customer string) error {
	return t.queries.KeyRefused(ctx, t.dbtx, customer)
}

// KeyGiven notes that Virtuous accepted a new key.
func (t *Tx) KeyGiven(ctx context.Context, customer string) error {
	return t.queries.KeyGiven(ctx, t.dbtx, customer)
}

// KeyRefusalIsVirtuous says whether Virtuous rejects many customers at once, and the rejection of this one, whose key worked shortly before
// that, is one of them.
func (c Conn) KeyRefusalIsVirtuous(ctx context.Context, customer string) (bool, error) {
	return c.queries.KeyRefusalIsVirtuous(ctx, c.dbtx, customer)
}

// VirtuousRefusesMany says whether Virtuous rejects the keys of many customers at once.
func (c Conn) VirtuousRefusesMany(ctx context.Context) (bool, error) {
	return c.queries.KeyRefusalsActive(ctx, c.dbtx)
}

// KeysRefusedLately returns how many customers Virtuous rejected within the last minute, and still does, though their keys had worked
// within a day.
func (c Conn) KeysRefusedLately(ctx context.Context) (int64, error) {
	return c.queries.KeysRefusedLately(ctx, c.dbtx)
}

// KeysAskedLately returns for how many customers Virtuous had requests within the last minute, counted up to atMost.
func (c Conn) KeysAskedLately(ctx context.Context, atMost int32) (int64, error) {
	return c.queries.KeysAskedLately(ctx, c.dbtx, atMost)
}

// BeginKeyRefusals notes that Virtuous rejects many at once; begun is false if that is known.
func (t *Tx) BeginKeyRefusals(ctx context.Context) (begun bool, err error) {
	rows, err := t.queries.KeyRefusalsBegin(ctx, t.dbtx)
	return rows > 0, err
}

// EndKeyRefusals notes that it does no more; ended is false if no rejected key has worked since, and some are still rejected.
func (t *Tx) EndKeyRefusals(ctx context.Context) (ended bool, err error) {
	rows, err := t.queries.KeyRefusalsEnd(ctx, t.dbtx)
	return rows > 0, err
}

// KeysRefusedByVirtuous returns up to 100 customers whose giving is switched off although the rejection is the fault of Virtuous.
func (c Conn) KeysRefusedByVirtuous(ctx context.Context) ([]string, error) {
	return c.queries.KeysRefusedByVirtuous(ctx, c.dbtx)
}

// ClaimKeyTries returns customers whose rejected key is to be tried now, each by this caller alone.
func (c Conn) ClaimKeyTries(ctx context.Context) ([]string, error) {
	return c.queries.KeyTriesClaim(ctx, c.dbtx)
}

// SwitchGivingOn enables giving that was switched off for the key; works says that the key does. changed is false if giving is not switched
// off for that any more.
func (t *Tx) SwitchGivingOn(ctx context.Context, customer string, works bool) (changed bool, err error) {
	rows, err := t.queries.VirtuousConfigSwitchOn(ctx, t.dbtx, customer)
	if err != nil || rows == 0 {
		return false, err
	}
	if works {
		return true, t.queries.KeyGiven(ctx, t.dbtx, customer)
	}
	if err := t.queries.OAuthTryNow(ctx, t.dbtx, customer); err != nil {
		return true, err
	}
	return true, t.queries.KeyTriesEnd(ctx, t.dbtx, customer)
}
