package store

import (
	"context"
	"encoding/json"
	"time"

	"rollcall.dev/pkg/store/internal/db"
)

// Ways in which an act reached rollcall.
const (
	ViaAPI     = "api"     // a question of rollcall.api.*
	ViaMessage = "message" // a message in a stream
	ViaAck     = "ack"     // of a letter, through dlq-review
	ViaCommand = "command" // a command that reaches the database itself
)

// Outcomes of an act.
const (
	ActBegun    = "begun" // it began, and its end was not noted: the process may have died
	ActDone     = "done"
	ActRejected = "rejected" // the request was invalid, or did not fit the state
	ActFailed   = "failed"
)

// Act is what an operator did. Texts that are "" are not known, or of none.
type Act struct {
	ID       int64
	At       time.Time
	Operator string // as the caller names itself
	NATSUser string // as the NATS server names the caller
	Via      string
	Verb     string
	Customer string
	Filter   json.RawMessage
	Outcome  string
	Code     string          // why it was rejected or failed
	Result   json.RawMessage // nil if there is nothing to say
	Origin   string          // of a message: a repeated delivery adds no row
}

// NoteAct adds the row of an act, and returns its id. The act of a message that was noted before keeps its row.
func (c Conn) NoteAct(ctx context.Context, act Act) (id int64, err error) {
	filter := act.Filter
	if filter == nil {
		filter = json.RawMessage(`{}`)
	}
	return c.queries.ActNote(ctx, c.dbtx, &db.ActNoteParams{
		Operator: given(act.Operator), NatsUser: given(act.NATSUser), Via: act.Via, Verb: act.Verb, CustomerID: given(act.Customer),
		Filter: filter, Outcome: act.Outcome, Code: given(act.Code), Result: act.Result, Origin: given(act.Origin),
	})
}

// EndAct notes how an act ended that had begun.
func (c Conn) EndAct(ctx context.Context, id int64, outcome, code string, result json.RawMessage) error {
	return c.queries.ActEnd(ctx, c.dbtx, &db.ActEndParams{ID: id, Outcome: outcome, Code: given(code), Result: result})
}

// ActsAsked says which acts are listed; what is zero holds for all of them.
type ActsAsked struct {
	Customer string
	Verb     string // whole, or a noun: letters for letters.retry
	Operator string
	Since    *time.Time
	Before   int64 // only acts with a smaller id
	AtMost   int32
}

// Acts lists acts, newest first.
func (s *Store) Acts(ctx context.Context, asked ActsAsked) ([]Act, error) {
	params := &db.ActsPageParams{
		CustomerID: given(asked.Customer), Verb: given(asked.Verb), Operator: given(asked.Operator), Since: asked.Since, AtMost: asked.AtMost,
	}
	if asked.Before != 0 {
		params.Before = &asked.Before
	}
	var acts []Act
	err := s.planned(ctx, func(ctx context.Context, tx *Tx) error {
		rows, err := tx.queries.ActsPage(ctx, tx.dbtx, params)
		for _, row := range rows {
			acts = append(acts, Act{
				ID: row.ID, At: row.At, Operator: textOf(row.Operator), NATSUser: textOf(row.NatsUser), Via: row.Via, Verb: row.Verb,
				Customer: textOf(row.CustomerID), Filter: row.Filter, Outcome: row.Outcome, Code: textOf(row.Code), Result: row.Result,
			})
		}
		return err
	})
	return acts, err
}

// ForgetActs deletes up to atMost acts that are older than age, and returns how many it deleted.
func (c Conn) ForgetActs(ctx context.Context, age time.Duration, atMost int32) (int64, error) {
	return c.queries.ActsForget(ctx, c.dbtx, &db.ActsForgetParams{OlderThan: age, AtMost: atMost})
}
