package store

import (
	"context"

	"rollcall.dev/pkg/store/internal/db"
)

// TokenWorked notes that VOMO accepted the customer's token. It writes once an hour, and when a rejection is over.
func (c Conn) TokenWorked(ctx context.Context, customer string) error {
	return c.queries.TokenWorked(ctx, c.dbtx, customer)
}

// TokenRefused notes that VOMO rejected the customer's token. A token that had worked, and whose customer is switched off for it, is
// tried again in an hour.
func (t *Tx) TokenRefused(ctx context.Context, customer string) error {
	return t.queries.TokenRefused(ctx, t.dbtx, customer)
}

// RefusalIsVomos reports whether VOMO rejects the tokens of many customers at once, this one's among them, although it worked shortly
// before.
func (c Conn) RefusalIsVomos(ctx context.Context, customer string) (bool, error) {
	vomos, err := c.queries.RefusalIsVomos(ctx, c.dbtx, customer)
	return vomos, err
}

// VomoRefusesMany reports whether VOMO rejects the tokens of many customers at once.
func (c Conn) VomoRefusesMany(ctx context.Context) (bool, error) {
	active, err := c.queries.RefusalsActive(ctx, c.dbtx)
	return active, err
}

// RefusedLately returns for how many customers VOMO rejected the token within the last minute and has not accepted it since, although
// it had worked within a day.
func (c Conn) RefusedLately(ctx context.Context) (int64, error) {
	refused, err := c.queries.RefusedLately(ctx, c.dbtx)
	return refused, err
}

// AskedLately returns for how many customers VOMO was asked within the last minute, counted up to atMost.
func (c Conn) AskedLately(ctx context.Context, atMost int32) (int64, error) {
	asked, err := c.queries.AskedLately(ctx, c.dbtx, atMost)
	return asked, err
}

// BeginRefusals notes that VOMO rejects many tokens at once; begun is false if that is noted already.
func (t *Tx) BeginRefusals(ctx context.Context) (begun bool, err error) {
	rows, err := t.queries.RefusalsBegin(ctx, t.dbtx)
	return rows > 0, err
}

// EndRefusals notes that VOMO no longer does; ended is false if no rejected token has worked since, and some are still
// rejected.
func (t *Tx) EndRefusals(ctx context.Context) (ended bool, err error) {
	rows, err := t.queries.RefusalsEnd(ctx, t.dbtx)
	return rows > 0, err
}

// RefusedByVomo returns up to 100 customers that are switched off although the rejection is VOMO's fault.
func (c Conn) RefusedByVomo(ctx context.Context) ([]string, error) {
	customers, err := c.queries.RefusedByVomo(ctx, c.dbtx)
	return customers, err
}

// ClaimTokenTries returns customers that are switched off and whose token is to be tried now, each by one caller.
func (c Conn) ClaimTokenTries(ctx context.Context) ([]string, error) {
	customers, err := c.queries.TokenTriesClaim(ctx, c.dbtx)
	return customers, err
}

// SwitchOn switches a customer on that was switched off for its token; works says that the token works. changed is false
// if the customer is no longer switched off for that.
func (t *Tx) SwitchOn(ctx context.Context, customer string, works bool) (changed bool, err error) {
	rows, err := t.queries.SyncConfigSwitchOn(ctx, t.dbtx, &db.SyncConfigSwitchOnParams{CustomerID: customer, Works: works})
	if err != nil || rows == 0 {
		return false, err
	}
	if works {
		return true, t.queries.TokenGiven(ctx, t.dbtx, customer)
	}
	return true, t.queries.TokenTriesEnd(ctx, t.dbtx, customer)
}

// BlameVomo changes why the customer's runs are parked that wait for a new token: they wait for VOMO.
func (t *Tx) BlameVomo(ctx context.Context, customer, detail string) error {
	if err := t.moveRuns(ctx, []string{customer}, KindBackfill, KindPoll, KindUserDaily); err != nil {
		return err
	}
	return t.queries.RunsBlameVomo(ctx, t.dbtx, &db.RunsBlameVomoParams{CustomerID: customer, ParkDetail: detail})
}
