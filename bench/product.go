package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/config"
	"rollcall.dev/pkg/localserver"
)

// installation is a new rollcall with its own new NATS server.
type installation struct {
	environment *environment
	dir         string
	parts       map[string]*process
	health      map[string]string // addresses where the services serve health and profiles
	conn        *nats.Conn
	stream      jetstream.JetStream
}

func (e *environment) openProduct(ctx context.Context, name, databaseURL string) (_ subject, err error) {
	i := &installation{environment: e, dir: filepath.Join(e.dir, name), parts: map[string]*process{}, health: map[string]string{}}
	defer func() {
		if err != nil {
			err = errors.Join(err, i.close())
		}
	}()
	if err := os.Mkdir(i.dir, 0o700); err != nil {
		return nil, fmt.Errorf("make a folder: %w", err)
	}
	if err := i.startNATS(ctx); err != nil {
		return nil, err
	}
	env := []string{
		"DATABASE_URL=" + databaseURL, "NATS_URL=" + i.conn.ConnectedUrl(), "VOMO_BASE_URL=" + e.sandbox.vomo(),
		"VOMO_REQUESTS_PER_SECOND=100000", "VOMO_REQUESTS_PER_MINUTE=0", "ALLOW_PRIVATE_DESTINATIONS=true",
		"SECRETS_URL=dev:" + filepath.Join(i.dir, "secrets.key"),
	}
	if e.opts.profiles != "" {
		env = append(env, "HTTP_PROFILES=true")
	}
	for part, path := range map[string]string{partOnboarding: e.opts.programs.onboarding, partBackfill: e.opts.programs.backfill} {
		if i.parts[part], i.health[part], err = serving(ctx, i.dir, launch{name: part, path: path, env: env}); err != nil {
			delete(i.parts, part)
			return nil, err
		}
	}
	return i, nil
}

func (i *installation) startNATS(ctx context.Context) error {
	port, err := localserver.FreePort()
	if err != nil {
		return fmt.Errorf("start NATS: %w", err)
	}
	p, err := start(i.dir, launch{
		name: partNATS, path: i.environment.opts.programs.nats,
		args: []string{"-store", filepath.Join(i.dir, "streams"), "-port", strconv.Itoa(port)},
	})
	if err != nil {
		return err
	}
	i.parts[partNATS] = p
	url := "nats://" + net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	if err := p.until(ctx, func(context.Context) error {
		i.conn, err = nats.Connect(url)
		return err
	}); err != nil {
		return err
	}
	if i.stream, err = jetstream.New(i.conn); err != nil {
		return fmt.Errorf("open JetStream: %w", err)
	}
	defaults, err := config.Load(nil)
	if err != nil {
		return err
	}
	return bus.Ensure(ctx, i.stream, 1, defaults.ClaimTimeout)
}

// mirror publishes an onboarding message, as an operator would, and waits for the event that the backfill has
// completed.
func (i *installation) mirror(ctx context.Context, organisation, customer string) error {
	events, err := i.conn.SubscribeSync(bus.SubjectEvent("*.*", customer))
	if err != nil {
		return fmt.Errorf("listen for events: %w", err)
	}
	defer func() { _ = events.Unsubscribe() }() // closing the connection ends it as well
	request, err := json.Marshal(map[string]any{
		"customerId": customer, "vomoToken": i.environment.sandbox.token(organisation),
		"externalSystemUrl": i.environment.sandbox.crm(customer), "pollCadenceMinutes": 30, "adminEmail": "it@bench.example",
	})
	if err != nil {
		return fmt.Errorf("encode request: %w", err)
	}
	if _, err := i.stream.Publish(ctx, bus.SubjectOnboard(customer), request); err != nil {
		return fmt.Errorf("publish onboarding message: %w", err)
	}
	for {
		event, err := events.NextMsgWithContext(ctx)
		if err != nil {
			return fmt.Errorf("wait for the end of the backfill: %w", err)
		}
		switch verb := strings.TrimSuffix(event.Subject, "."+customer); {
		case strings.HasSuffix(verb, ".backfill.completed"):
			return nil
		case strings.HasSuffix(verb, ".rejected"), strings.HasSuffix(verb, ".failed"), strings.HasSuffix(verb, ".delayed"):
			return fmt.Errorf("%s: %s", event.Subject, event.Data)
		}
	}
}

func (i *installation) processes() map[string]*process { return i.parts }

// close ends the services before the server that they use.
func (i *installation) close() error {
	var err error
	for _, part := range []string{partBackfill, partOnboarding} {
		if p := i.parts[part]; p != nil {
			err = errors.Join(err, p.stop())
		}
	}
	if i.conn != nil {
		i.conn.Close()
	}
	if p := i.parts[partNATS]; p != nil {
		err = errors.Join(err, p.stop())
	}
	return errors.Join(err, os.RemoveAll(i.dir))
}
