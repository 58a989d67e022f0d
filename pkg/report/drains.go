package report

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/store"
)

const (
	drainsListed = 50
	// The end of a drain is estimated from its rate so far. The rest may be faster or slower.
	etaFaster = 0.75
	etaSlower = 1.5
	// firstEta is how long a drain must have run before its own rate says something.
	firstEta = 5 * time.Second
)

// Drains answers rollcall.api.drains.ls.
func Drains(ctx context.Context, from store.Conn, question operatorapi.DrainsQuestion) (operatorapi.DrainsReply, error) {
	reply := operatorapi.DrainsReply{Drains: []operatorapi.Drain{}}
	now, err := from.Now(ctx)
	if err != nil {
		return reply, err
	}
	limit := drainsLimit(question.Limit)
	drains, err := from.Drains(ctx, question.CustomerID, question.Before, limit+1)
	if err != nil {
		return reply, err
	}
	for i, row := range drains {
		if i == int(limit) {
			reply.Next = &drains[i-1].ID
			break
		}
		drain, err := drainOf(row, now)
		if err != nil {
			return reply, err
		}
		reply.Drains = append(reply.Drains, drain)
	}
	return reply, nil
}

// ShowDrain answers rollcall.api.drains.show; store.ErrNotFound if there is no such drain.
func ShowDrain(ctx context.Context, from store.Conn, question operatorapi.DrainQuestion) (operatorapi.DrainShown, error) {
	shown := operatorapi.DrainShown{Items: []operatorapi.DrainItem{}}
	now, err := from.Now(ctx)
	if err != nil {
		return shown, err
	}
	row, err := from.Drain(ctx, question.ID)
	if err != nil {
		return shown, err
	}
	if shown.Drain, err = drainOf(row, now); err != nil {
		return shown, err
	}
	limit := drainsLimit(question.Limit)
	items, err := from.DrainItems(ctx, question.ID, question.Outcome, question.Before, limit+1)
	if err != nil {
		return shown, err
	}
	for i, item := range items {
		if i == int(limit) {
			shown.Next = &items[i-1].Nth
			break
		}
		shown.Items = append(shown.Items, drainItemOf(item))
	}
	return shown, nil
}

func drainsLimit(asked int32) int32 {
	if asked <= 0 {
		return drainsListed
	}
	return min(asked, operatorapi.MaxDrains)
}

func drainItemOf(item store.DrainItem) operatorapi.DrainItem {
	shown := operatorapi.DrainItem{
		LetterID: item.LetterID.String(), CustomerID: item.CustomerID, Outcome: item.Outcome, Reason: item.Reason, At: item.At,
	}
	if item.Reason == nil {
		return shown
	}
	text, remedy := operatorapi.ExplainLeft(*item.Reason)
	if item.Detail != nil {
		text += ": " + *item.Detail
	}
	shown.Text, shown.Remedy = &text, &remedy
	return shown
}

func drainOf(row store.Drain, now time.Time) (operatorapi.Drain, error) {
	drain := operatorapi.Drain{
		ID: row.ID, CustomerID: row.CustomerID, Verb: row.Verb, Note: row.Note, State: row.State, AskedBy: row.AskedBy, PacePerMinute: row.Pace,
		Planned: row.Planned, Done: row.DoneCount, Left: row.LeftCount, Remaining: max(row.Planned-row.DoneCount-row.LeftCount, 0), AsOf: row.AsOf,
		CreatedAt: row.CreatedAt, EndedAt: row.EndedAt,
	}
	if err := json.Unmarshal(row.Filter, &drain.Filter); err != nil {
		return drain, fmt.Errorf("read filter of drain %d: %w", row.ID, err)
	}
	if row.State == store.DrainRunning {
		drain.EtaLowSeconds, drain.EtaHighSeconds = drainEta(drain, now)
	}
	return drain, nil
}

// drainEta returns in how long the drain ends, at the earliest and at the latest. The pace bounds the first, the rate so far says the rest.
func drainEta(drain operatorapi.Drain, now time.Time) (low, high *int64) {
	remaining, worked, elapsed := float64(drain.Remaining), float64(drain.Done+drain.Left), now.Sub(drain.CreatedAt)
	var atPace float64
	if drain.PacePerMinute != nil {
		atPace = remaining / float64(*drain.PacePerMinute) * time.Minute.Seconds()
	}
	measured := atPace
	if worked > 0 && elapsed >= firstEta {
		measured = max(remaining*elapsed.Seconds()/worked, atPace)
	}
	if measured == 0 && remaining > 0 {
		return nil, nil
	}
	return new(int64(max(measured*etaFaster, atPace))), new(int64(measured*etaSlower) + 1)
}
