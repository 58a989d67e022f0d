package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
)

// pingSilence ends the ping: no other service is expected if none has answered for this time.
const pingSilence = time.Second

// runningServices pings all services, as `nats micro ping` does, and returns rollcall's own, sorted by name and id.
func runningServices(ctx context.Context, on *link) ([]micro.Ping, error) {
	bounded, cancel := context.WithTimeout(ctx, on.timeout)
	defer cancel()
	inbox := nats.NewInbox()
	answers, err := on.conn.SubscribeSync(inbox)
	if err != nil {
		return nil, fmt.Errorf("ask which services run: %w", err)
	}
	defer func() { _ = answers.Unsubscribe() }() // the connection is closed before long
	if err := on.conn.PublishRequest(micro.APIPrefix+"."+micro.PingVerb.String(), inbox, nil); err != nil {
		return nil, fmt.Errorf("ask which services run: %w", err)
	}
	var running []micro.Ping
	silence := on.timeout // if no service runs, the server says so at once
	for {
		waiting, done := context.WithTimeout(bounded, silence)
		message, err := answers.NextMsgWithContext(waiting)
		done()
		switch {
		case ctx.Err() != nil:
			return nil, fmt.Errorf("ask which services run: %w", ctx.Err())
		case errors.Is(err, nats.ErrNoResponders), errors.Is(err, context.DeadlineExceeded):
			return sorted(running), nil
		case err != nil:
			return nil, fmt.Errorf("ask which services run: %w", err)
		}
		silence = pingSilence
		var ping micro.Ping
		if json.Unmarshal(message.Data, &ping) == nil && strings.HasPrefix(ping.Name, "rollcall-") {
			running = append(running, ping)
		}
	}
}

func sorted(running []micro.Ping) []micro.Ping {
	slices.SortFunc(running, func(a, b micro.Ping) int { return strings.Compare(a.Name+" "+a.ID, b.Name+" "+b.ID) })
	return running
}
