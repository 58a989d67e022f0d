package main

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"

	"rollcall.dev/pkg/budget"
	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/report"
	"rollcall.dev/pkg/service"
)

// queuesTimeout is short, because the rest of the board is shown without the queues if JetStream has no leader.
const queuesTimeout = 2 * time.Second

// answerBoard answers rollcall.api.board.show.
func answerBoard(s *service.Service, limits budget.Limits) error {
	var kept report.KeptBoard
	return service.Answer(s, "board", "show", func(ctx context.Context, question report.BoardQuestion) (report.BoardReply, error) {
		reply, err := report.BoardUnder(ctx, &kept, s.Store, limits, question)
		if err != nil {
			return reply, err
		}
		if reply.Queues, err = queues(ctx, s.JetStream); err != nil {
			s.Logger.Warn("streams not read; the board is shown without them", zap.Error(err))
			reply.Queues = nil
		}
		return reply, nil
	})
}

// queues returns rollcall's streams in the order in which work moves through them.
func queues(ctx context.Context, js jetstream.JetStream) ([]report.BoardQueue, error) {
	bounded, cancel := context.WithTimeout(ctx, queuesTimeout)
	defer cancel()
	found := []report.BoardQueue{}
	streams := js.ListStreams(bounded)
	for info := range streams.Info() {
		if !strings.HasPrefix(info.Config.Name, bus.StreamPrefix) {
			continue
		}
		queue := report.BoardQueue{Stream: info.Config.Name, Messages: info.State.Msgs}
		if info.State.Msgs > 0 {
			age := int64(max(info.TimeStamp.Sub(info.State.FirstTime), 0) / time.Second)
			queue.OldestSeconds = &age
		}
		found = append(found, queue)
	}
	order := bus.StreamNames()
	slices.SortFunc(found, func(one, other report.BoardQueue) int {
		return slices.Index(order, one.Stream) - slices.Index(order, other.Stream)
	})
	return found, streams.Err()
}
