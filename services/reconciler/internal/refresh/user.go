package refresh

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strconv"
	"time"

	"go.uber.org/zap"
	"google.golang.org/protobuf/types/known/timestamppb"

	"rollcall.dev/pkg/event"
	"rollcall.dev/pkg/fault"
	"rollcall.dev/pkg/mirror"
	"rollcall.dev/pkg/participation"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/vomo"
	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

// listPages is how many pages of the list are read to find a user that VOMO does not return whole by id.
const listPages = 3

// found is what an answer about a user changes.
type found struct {
	participation.Reading

	user store.UserToRefresh
	date time.Time // VOMO's clock; the database's if VOMO sent none, or did not answer about this user
}

// refresh reads one user and commits what that changes, with the cursor behind it. A user whose participations VOMO does not send,
// or that it does not return although it works, is left as it is.
func (c *cycle) refresh(ctx context.Context, user store.UserToRefresh) error {
	answer, err := c.read(ctx, user.VomoID)
	if err != nil {
		return err
	}
	one := found{user: user, date: answer.Date}
	if one.date.IsZero() {
		if one.date, err = c.Store.Now(ctx); err != nil {
			return err
		}
	}
	stored, err := c.Store.ParticipationsOf(ctx, c.Customer.ID, []string{user.VomoID})
	if err != nil {
		return err
	}
	var before *store.Participations
	if row, ok := stored[user.VomoID]; ok {
		before = &row
	}
	if one.Reading, err = c.book.Read(user.VomoID, before, answer); err != nil {
		return err
	}
	page, due, err := c.pageToWrite(ctx, one, answer)
	switch {
	case err != nil:
		return err
	case due:
		return c.write(ctx, one, page)
	}
	return c.commit(ctx, one)
}

// read asks VOMO about one user. An error holds for all users. The answer about a user that VOMO does not return is empty.
func (c *cycle) read(ctx context.Context, vomoID string) (vomo.UserParticipations, error) {
	answer, err := c.sides.Source.Client.Participations(ctx, vomoID)
	switch {
	case err == nil, errors.Is(err, vomo.ErrNotFound): // not found is not removed: the search for deletions decides about the user
		return answer, c.sides.Source.Answered(ctx)
	case fault.CodeOf(err) == "vomo_id_invalid":
		return vomo.UserParticipations{}, nil
	}
	code, stopped := c.reader.CodeForOne(ctx, err)
	if stopped != nil {
		return vomo.UserParticipations{}, stopped
	}
	c.Log.Info("VOMO works and does not return this user's participations", zap.String("vomo_id", vomoID), zap.String("code", code), zap.Error(err))
	return vomo.UserParticipations{}, nil
}

// pageToWrite returns the user as a page, if the destination has fields for participations and lacks this user's. The destination
// gets whole records only: a user that VOMO does not return whole, by id or near the version that the destination has, stays due.
func (c *cycle) pageToWrite(ctx context.Context, one found, answer vomo.UserParticipations) (page vomo.Page, due bool, err error) {
	if !one.Known || c.sides.Lane.Participations == nil {
		return vomo.Page{}, false, nil
	}
	if _, due, err = c.book.Due(one.Row); err != nil || !due {
		return vomo.Page{}, false, err
	}
	if answer.User != nil {
		return vomo.Detail{User: answer.User, Date: answer.Date}.Page(), true, nil
	}
	query := vomo.Query{UpdatedAfter: one.user.UpdatedAt}
	listed, _, err := c.sides.Source.Client.Find(ctx, query, []string{one.user.VomoID}, func(pages int) bool { return pages >= listPages })
	if err != nil {
		return vomo.Page{}, false, c.Connect.Confirm(ctx, c.Customer, c.Lease, store.JobParticipations, err)
	}
	detail, ok := listed[one.user.VomoID]
	if !ok || detail.User == nil {
		c.Log.Debug("the user is not written: VOMO does not return it whole", zap.String("vomo_id", one.user.VomoID))
		return vomo.Page{}, false, nil
	}
	return detail.Page(), true, nil
}

// write writes the user through the mirror, whose transaction also has what the answer changes.
func (c *cycle) write(ctx context.Context, one found, page vomo.Page) error {
	options := c.sides.Options
	if one.IsNew {
		options.Participations = map[string]store.Participations{one.user.VomoID: one.Row}
	}
	var next store.Run
	_, err := c.sides.Lane.Apply(ctx, page, options, func(ctx context.Context, tx *store.Tx, outcome mirror.Outcome) (err error) {
		next, err = c.save(ctx, tx, one, outcome)
		return err
	})
	if err != nil {
		return err
	}
	c.sides.PageCommitted()
	c.Committed(next)
	return nil
}

// commit commits what the answer changes if nothing is written.
func (c *cycle) commit(ctx context.Context, one found) error {
	var next store.Run
	err := c.Store.InLane(ctx, c.Lease, func(ctx context.Context, tx *store.Tx) (err error) {
		next, err = c.save(ctx, tx, one, mirror.Outcome{})
		return err
	})
	if err != nil {
		return err
	}
	c.Committed(next)
	return nil
}

// save adds the row, the events and the cursor to the transaction.
func (c *cycle) save(ctx context.Context, tx *store.Tx, one found, outcome mirror.Outcome) (store.Run, error) {
	if err := tx.ForgetParticipations(ctx, c.Customer.ID, c.Run.Cursor.After, one.user.VomoID); err != nil {
		return store.Run{}, err
	}
	save := func() error { return tx.TouchParticipations(ctx, c.Customer.ID, one.user.VomoID) }
	if one.IsNew {
		save = func() error {
			row := one.Row
			if sent, ok := outcome.Participations[one.user.VomoID]; ok {
				row.SentDigest = sent
			}
			return tx.SaveParticipations(ctx, c.Customer.ID, row)
		}
	}
	if err := save(); err != nil {
		return store.Run{}, err
	}
	if err := c.publish(ctx, tx, one); err != nil {
		return store.Run{}, err
	}
	batch := c.batch
	next, err := c.Advance(ctx, tx, store.Advance{
		Cursor: store.Cursor{After: one.user.VomoID, Batch: &batch}, ScanStartedAt: one.date, Processed: 1,
		Written: int64(outcome.Written), Failures: int64(outcome.Failed), Skipped: 1 - int64(min(outcome.Written+outcome.Failed, 1)),
	})
	if err != nil {
		return store.Run{}, err
	}
	return next, c.sides.ClearParks(ctx, tx, outcome.Written > 0)
}

// publish adds an event for each participation that differs. They carry ids and nothing of their content.
func (c *cycle) publish(ctx context.Context, tx *store.Tx, one found) error {
	if c.silent || one.Changes.Count() == 0 {
		return nil
	}
	now, err := tx.Now(ctx)
	if err != nil {
		return err
	}
	messages := make([]store.Message, 0, one.Changes.Count())
	for _, kind := range []struct {
		name string
		keys []string
	}{
		{event.ParticipationCreated, one.Changes.Created},
		{event.ParticipationChanged, one.Changes.Changed},
		{event.ParticipationRemoved, one.Changes.Removed},
	} {
		for _, key := range kind.keys {
			message, err := event.Fact{
				Name: kind.name, Customer: c.Customer.ID, ID: c.eventID(kind.name, one.user.VomoID, key), At: now, TraceID: c.Run.TraceID,
				Data: &rollcallv1.ParticipationChanged{
					CustomerId: c.Customer.ID, VomoUserId: one.user.VomoID, ParticipationId: key, FoundAt: timestamppb.New(now),
				},
			}.Message()
			if err != nil {
				return err
			}
			messages = append(messages, message)
		}
	}
	return tx.Publish(ctx, messages...)
}

// eventID is unique to a change: a cycle reads each user once. Ids of VOMO may have any length and letters, so they are hashed.
func (c *cycle) eventID(name, vomoID, key string) string {
	sum := sha256.Sum256([]byte(vomoID + "\x00" + key))
	return name + "-" + c.Customer.ID + "-" + strconv.FormatInt(c.Run.JobID, 10) + "-" + hex.EncodeToString(sum[:16])
}
