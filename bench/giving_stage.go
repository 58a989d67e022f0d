package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/nats-io/nats.go/jetstream"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/localserver"
)

// givingCustomers is how many customers take part in a round: as many as a process works at once.
const givingCustomers = 8

const givingSecret = "wh-secret-of-all-customers"

func givingCustomer(number int) string { return fmt.Sprintf("c%d", number%givingCustomers) }

// givingStage is a new database and a new NATS server with the programs of one round.
type givingStage struct {
	*installation

	database string
	url      string
}

func (e *environment) openGivingStage(ctx context.Context, name string) (_ *givingStage, err error) {
	s := &givingStage{database: "giving_" + name}
	s.installation = &installation{environment: e, dir: filepath.Join(e.dir, s.database), parts: map[string]*process{}, health: map[string]string{}}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close(context.WithoutCancel(ctx)))
		}
	}()
	if s.url, err = e.postgres.fresh(ctx, s.database); err != nil {
		return nil, err
	}
	if err := os.Mkdir(s.dir, 0o700); err != nil {
		return nil, fmt.Errorf("make a folder: %w", err)
	}
	return s, s.startNATS(ctx)
}

func (s *givingStage) close(ctx context.Context) error {
	var err error
	for name, p := range s.parts {
		if name != partNATS {
			err = errors.Join(err, p.stop())
		}
	}
	if s.conn != nil {
		s.conn.Close()
	}
	if p := s.parts[partNATS]; p != nil {
		err = errors.Join(err, p.stop())
	}
	return errors.Join(err, s.environment.postgres.drop(ctx, s.database), os.RemoveAll(s.dir))
}

// startService starts one of the product's services.
func (s *givingStage) startService(ctx context.Context, name, path string, more ...string) error {
	p, address, err := serving(ctx, s.dir, launch{name: name, path: path, env: append([]string{
		"DATABASE_URL=" + s.url, "NATS_URL=" + s.conn.ConnectedUrl(), "VIRTUOUS_BASE_URL=" + s.environment.sandbox.address + "/virtuous",
		"SECRETS_URL=dev:" + filepath.Join(s.dir, "secrets.key"), "HTTP_PROFILES=true",
	}, more...)})
	if err != nil {
		return err
	}
	s.parts[name], s.health[name] = p, address
	return nil
}

// onboard onboards all customers with giving. Organisations at the sandbox's Virtuous stay from one round to the next.
func (s *givingStage) onboard(ctx context.Context) error {
	if err := s.startService(ctx, partOnboarding, s.environment.opts.programs.onboarding); err != nil {
		return err
	}
	events, err := s.conn.SubscribeSync(bus.SubjectEvent("onboarding.*", "*"))
	if err != nil {
		return fmt.Errorf("listen for events: %w", err)
	}
	defer func() { _ = events.Unsubscribe() }() // closing the connection ends it as well
	for number := range givingCustomers {
		customer := givingCustomer(number)
		request, err := json.Marshal(map[string]any{"customerId": customer, "virtuous": map[string]any{
			"token": "v_" + customer, "transactionSource": "Bench", "webhookSecret": givingSecret,
		}})
		if err != nil {
			return fmt.Errorf("encode request: %w", err)
		}
		if _, err := s.stream.Publish(ctx, bus.SubjectOnboard(customer), request); err != nil {
			return fmt.Errorf("publish onboarding message: %w", err)
		}
	}
	for range givingCustomers {
		message, err := events.NextMsgWithContext(ctx)
		if err != nil {
			return fmt.Errorf("wait for the onboarding: %w", err)
		}
		if !strings.Contains(message.Subject, ".completed.") {
			return fmt.Errorf("%s: %s", message.Subject, message.Data)
		}
	}
	onboarding := s.parts[partOnboarding]
	delete(s.parts, partOnboarding)
	return onboarding.stop()
}

// organiseGiving creates the organisations at the sandbox's Virtuous.
func (s *sandbox) organiseGiving(ctx context.Context) error {
	for number := range givingCustomers {
		customer := givingCustomer(number)
		request := map[string]any{"name": customer, "key": "v_" + customer}
		if err := ask(ctx, http.MethodPost, s.address+"/control/virtuous/orgs", request, nil); err != nil {
			return fmt.Errorf("make organisation: %w", err)
		}
	}
	return nil
}

// startReceiver starts the product's receiver of webhooks and returns where it receives.
func (s *givingStage) startReceiver(ctx context.Context) (target string, err error) {
	port, err := localserver.FreePort()
	if err != nil {
		return "", err
	}
	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	err = s.startService(ctx, partWebhooks, s.environment.opts.programs.webhooks, "WEBHOOK_ADDR="+address)
	return "http://" + address + "/webhooks/virtuous/", err
}

// messages returns how many messages a stream has on the matching subjects.
func (s *givingStage) messages(ctx context.Context, name, filter string) (count int, err error) {
	stream, err := s.stream.Stream(ctx, name)
	if err != nil {
		return 0, fmt.Errorf("look up stream: %w", err)
	}
	info, err := stream.Info(ctx, jetstream.WithSubjectFilter(filter))
	if err != nil {
		return 0, fmt.Errorf("count messages: %w", err)
	}
	for _, messages := range info.State.Subjects {
		count += int(messages) //nolint:gosec // far below
	}
	return count, nil
}

func (s *givingStage) exec(ctx context.Context, statement string) error {
	return s.environment.postgres.with(ctx, s.database, func(conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, statement)
		return err
	})
}

// lookEvery is how often the end of a round is looked for: often enough for rounds of seconds, and cheap.
const lookEvery = 25 * time.Millisecond

// await looks on one connection until a query counts at least so many, and returns how many.
func (s *givingStage) await(ctx context.Context, query string, wanted int) (count int, err error) {
	err = s.environment.postgres.with(ctx, s.database, func(conn *pgx.Conn) error {
		return s.until(ctx, func(ctx context.Context) (bool, error) {
			err := conn.QueryRow(ctx, query).Scan(&count)
			return count >= wanted, err
		})
	})
	return count, err
}

func (s *givingStage) until(ctx context.Context, holds func(ctx context.Context) (bool, error)) error {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		if ok, err := holds(ctx); ok || err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// givingLimit is the process that does the least work for the same result. Each job is answered with a line.
type givingLimit struct {
	*process

	answers *bufio.Scanner
}

func (s *givingStage) startLimit() (*givingLimit, error) {
	p, err := start(s.dir, launch{
		name: limit, path: s.environment.opts.programs.givingLimit, env: []string{"DATABASE_URL=" + s.url, "NATS_URL=" + s.conn.ConnectedUrl()}, piped: true,
	})
	if err != nil {
		return nil, err
	}
	s.parts[limit] = p
	return &givingLimit{process: p, answers: bufio.NewScanner(p.lines)}, nil
}

// do has the limit program do a job, and returns its answer.
func (l *givingLimit) do(ctx context.Context, job map[string]any) (answer string, err error) {
	if err := json.NewEncoder(l.input).Encode(job); err != nil {
		return "", l.withLog(fmt.Errorf("send job: %w", err))
	}
	stop := context.AfterFunc(ctx, func() { _ = l.child.SignalGroup(syscall.SIGKILL) }) // fails only if the process has ended
	defer stop()
	if !l.answers.Scan() {
		return "", l.withLog(fmt.Errorf("it ended without an answer: %w", l.answers.Err()))
	}
	return l.answers.Text(), nil
}
