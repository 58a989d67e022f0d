package store

import (
	"context"

	"rollcall.dev/pkg/store/internal/db"
)

// TokenWorked notes that VOMO took the customer's token. It writes once an hour, and when a refusal is over.
func (c Conn) TokenWorked(ctx context.Context, customer string) error {
	return wrap("note that the token works", c.queries.TokenWorked(ctx, c.dbtx, customer))
}

// TokenRefused notes that VOMO refused the customer's token; one that had worked, and is switched off for it, is tried again
// in an hour.
func (t *Tx) TokenRefused(ctx context.Context, customer string) error {
	return wrap("note the refusal", t.queries.TokenRefused(ctx, t.dbtx, customer))
}

// RefusalIsVomos says whether VOMO refuses many customers at once, and the refusal of this one, whose token worked shortly
// before that, is one of them.
func (c Conn) RefusalIsVomos(ctx context.Context, customer string) (bool, error) {
	vomos, err := c.queries.RefusalIsVomos(ctx, c.dbtx, customer)
	return vomos, wrap("look at the refusals of others", err)
}

// VomoRefusesMany says whether VOMO refuses the tokens of many customers at once.
func (c Conn) VomoRefusesMany(ctx context.Context) (bool, error) {
	active, err := c.queries.RefusalsActive(ctx, c.dbtx)
	return active, wrap("look at the refusals of others", err)
}

// RefusedLately is how many customers VOMO refused within the last minute, and still does, though their tokens had worked
// within a day.
func (c Conn) RefusedLately(ctx context.Context) (int64, error) {
	refused, err := c.queries.RefusedLately(ctx, c.dbtx)
	return refused, wrap("count refusals", err)
}

// AskedLately is for how many customers VOMO was asked within the last minute, counted up to atMost.
func (c Conn) AskedLately(ctx context.Context, atMost int32) (int64, error) {
	asked, err := c.queries.AskedLately(ctx, c.dbtx, atMost)
	return asked, wrap("count customers that were asked for", err)
}

// BeginRefusals notes that VOMO refuses many at once; begun is false where that is known.
func (t *Tx) BeginRefusals(ctx context.Context) (begun bool, err error) {
	rows, err := t.queries.RefusalsBegin(ctx, t.dbtx)
	return rows > 0, wrap("note the refusals", err)
}

// EndRefusals notes that it does no more; ended is false where no refused token has worked since, and some are still
// refused.
func (t *Tx) EndRefusals(ctx context.Context) (ended bool, err error) {
	rows, err := t.queries.RefusalsEnd(ctx, t.dbtx)
	return rows > 0, wrap("note the end of the refusals", err)
}

// RefusedByVomo are up to 100 customers that are switched off although the refusal is VOMO's fault.
func (c Conn) RefusedByVomo(ctx context.Context) ([]string, error) {
	customers, err := c.queries.RefusedByVomo(ctx, c.dbtx)
	return customers, wrap("look for customers switched off by VOMO's fault", err)
}

// ClaimTokenTries are customers whose switched-off token is to be tried now, each by this caller alone.
func (c Conn) ClaimTokenTries(ctx context.Context) ([]string, error) {
	customers, err := c.queries.TokenTriesClaim(ctx, c.dbtx)
	return customers, wrap("claim tokens to try", err)
}

// SwitchOn switches a customer on that was switched off for its token; works says that the token does. changed is false
// where the customer is not switched off for that any more.
func (t *Tx) SwitchOn(ctx context.Context, customer string, works bool) (changed bool, err error) {
	rows, err := t.queries.SyncConfigSwitchOn(ctx, t.dbtx, &db.SyncConfigSwitchOnParams{CustomerID: customer, Works: works})
	if err != nil || rows == 0 {
		return false, wrap("switch on", err)
	}
	if works {
		return true, wrap("note that the token works", t.queries.TokenGiven(ctx, t.dbtx, customer))
	}
	return true, wrap("end the tries of the token", t.queries.TokenTriesEnd(ctx, t.dbtx, customer))
}

// BlameVomo has the customer's runs that are parked for the token wait for VOMO instead.
func (t *Tx) BlameVomo(ctx context.Context, customer, detail string) error {
	if err := t.queries.SyncRunsBlameVomo(ctx, t.dbtx, &db.SyncRunsBlameVomoParams{CustomerID: customer, ParkDetail: detail}); err != nil {
		return wrap("park runs for VOMO", err)
	}
	return wrap("park backfill for VOMO", t.queries.RunBlameVomo(ctx, t.dbtx, &db.RunBlameVomoParams{CustomerID: customer, ParkDetail: detail}))
}
