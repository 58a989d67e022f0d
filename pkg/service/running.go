package service

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

// MetadataLetters is the metadata field by which a service says that it knows the subjects of letters by letter. Services
// of the version before do not have it.
const MetadataLetters = "letter-subjects"

// KnowsLetterSubjects reports whether a running service is of a version that knows the subjects of letters by letter.
func KnowsLetterSubjects(ping micro.Ping) bool { return ping.Metadata[MetadataLetters] != "" }

// Running pings all services, as `nats micro ping` does, for at most timeout, and returns rollcall's own, sorted by name
// and id.
func Running(ctx context.Context, conn *nats.Conn, timeout time.Duration) ([]micro.Ping, error) {
	bounded, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	inbox := conn.NewInbox()
	answers, err := conn.SubscribeSync(inbox)
	if err != nil {
		return nil, fmt.Errorf("ask which services run: %w", err)
	}
	defer func() { _ = answers.Unsubscribe() }() // a closed connection has none
	if err := conn.PublishRequest(micro.APIPrefix+"."+micro.PingVerb.String(), inbox, nil); err != nil {
		return nil, fmt.Errorf("ask which services run: %w", err)
	}
	var running []micro.Ping
	silence := timeout // if no service runs, the server says so at once
	for {
		waiting, done := context.WithTimeout(bounded, silence)
		message, err := answers.NextMsgWithContext(waiting)
		done()
		switch {
		case ctx.Err() != nil:
			return nil, fmt.Errorf("ask which services run: %w", ctx.Err())
		case errors.Is(err, nats.ErrNoResponders), errors.Is(err, context.DeadlineExceeded):
			slices.SortFunc(running, func(a, b micro.Ping) int { return strings.Compare(a.Name+" "+a.ID, b.Name+" "+b.ID) })
			return running, nil
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
