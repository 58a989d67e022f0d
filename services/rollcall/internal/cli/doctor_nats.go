package cli

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/service"
)

// oldestNATS is the oldest server whose behaviour the services were measured on.
const oldestNATS = "2.15.2"

const remedyMigrate = "Run `rollcall migrate`. A difference that stays cannot be changed in a stream that exists: see `nats stream info`."

func (c *checker) nats(ctx context.Context) []finding {
	on, err := c.app.connect()
	if err != nil {
		return append([]finding{failed("nats", "Check NATS_URL and the credentials, and that the server runs.", "%v", err)},
			skipped("NATS is not reached", "jetstream", "streams", "nats clock", "services")...)
	}
	defer on.close()
	findings := []finding{natsVersion(on.Conn.ConnectedServerVersion())}
	js, err := jetstream.New(on.Conn)
	if err == nil {
		bounded, cancel := context.WithTimeout(ctx, c.timeout)
		_, err = js.AccountInfo(bounded)
		cancel()
	}
	if err != nil {
		findings = append(findings, failed("jetstream", "Switch JetStream on for this account: see deploy/nats/nats.conf.", "%v", err))
		findings = append(findings, skipped("JetStream does not answer", "streams", "nats clock")...)
	} else {
		findings = append(findings, ok("jetstream", "answers; encryption at rest and sync_interval cannot be seen from here"))
		findings = append(findings, c.streams(ctx, js)...)
		findings = append(findings, c.natsClock(ctx, js))
	}
	return append(findings, c.services(ctx, on)...)
}

func natsVersion(version string) finding {
	if olderVersion(version, oldestNATS) {
		return failed("nats", "Update the server to "+oldestNATS+" or newer.", "the server is version %s", version)
	}
	return ok("nats", "server version %s", version)
}

// olderVersion compares dotted numbers and ignores the part after a hyphen.
func olderVersion(version, than string) bool {
	version, _, _ = strings.Cut(version, "-")
	parts := strings.Split(version, ".")
	for i, text := range strings.Split(than, ".") {
		least, _ := strconv.Atoi(text) // our own
		have := 0
		if i < len(parts) {
			have, _ = strconv.Atoi(parts[i]) // a part that is no number is older than any
		}
		if have != least {
			return have < least
		}
	}
	return false
}

func (c *checker) streams(ctx context.Context, js jetstream.JetStream) []finding {
	bounded, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	differences := bus.Differences(bounded, js, c.settings.ClaimTimeout)
	var findings []finding
	for _, difference := range differences {
		remedy := remedyMigrate
		if !errors.Is(difference, bus.ErrTopology) {
			remedy = "Look at the server's log, and whether its JetStream cluster has a leader."
		}
		text, _, _ := strings.Cut(difference.Error(), ": "+bus.ErrTopology.Error()) // the remedy says that
		findings = append(findings, failed("streams", remedy, "%s", text))
	}
	usages, err := bus.Usages(bounded, js)
	if err == nil { // what is missing has been named above
		findings = append(findings, usageFindings(usages, c.settings.RequireSealedTokens)...)
	}
	if len(findings) == 0 {
		return []finding{ok("streams", "%s and %s are as the services need them", counted(len(bus.StreamConfigs(1)), "stream"),
			counted(len(bus.ConsumerConfigs(0)), "consumer"))}
	}
	return findings
}

// fullStream is the share of its limit from which a stream is reported.
const fullStream = 0.8

// usageFindings reports streams that are nearly full, limits that rollcall did not set, and replicas that keep tokens.
func usageFindings(usages []bus.Usage, sealedOnly bool) []finding {
	var findings []finding
	for _, usage := range usages {
		limits := limitsIn(usage)
		unlimit := "Remove the limit: nats stream edit " + usage.Stream + " --max-bytes=-1 --max-msgs=-1. What was refused waits in the outbox."
		switch {
		case usage.AcceptsNothing():
			findings = append(findings, failed("streams", unlimit, "stream %s takes no message: it is limited to %s", usage.Stream, limits))
		case usage.Work && usage.Share() > fullStream:
			findings = append(findings, failed("streams", unlimit, "stream %s is %.0f %% full: it is limited to %s", usage.Stream, 100*usage.Share(), limits))
		case usage.Work && limits != "":
			findings = append(findings, warning("streams", unlimit, "stream %s is limited to %s, and rollcall sets no limit there", usage.Stream, limits))
		case usage.Stream == bus.StreamDLQ && usage.Share() > fullStream:
			findings = append(findings, warning("streams", "Settle letters (rollcall dlq ls), or raise DLQ_MAX_BYTES and run `rollcall migrate`. "+
				"Letters that find no room wait in Postgres.", "stream %s is %.0f %% full: it is limited to %s", usage.Stream, 100*usage.Share(), limits))
		case usage.Share() > fullStream:
			findings = append(findings, warning("streams", "Raise its limit, in its setting and with `rollcall migrate`, or let the oldest messages go: "+
				"partners who are further behind than that miss them.", "stream %s is %.0f %% full: it is limited to %s", usage.Stream, 100*usage.Share(), limits))
		}
		if usage.Stream == bus.StreamOnboarding && usage.Replicas > 1 && !sealedOnly {
			findings = append(findings, warning("streams",
				"Seal tokens before they travel (rollcall key) and set REQUIRE_SEALED_TOKENS=true, or keep one replica of this stream.",
				"stream %s has %d replicas: the bytes of an erased token may live on in a replica's files", usage.Stream, usage.Replicas))
		}
	}
	return findings
}

// limitsIn returns a stream's limits as text, "" without any.
func limitsIn(usage bus.Usage) string {
	var limits []string
	if usage.MaxBytes > 0 {
		limits = append(limits, bus.Size(usage.MaxBytes))
	}
	if usage.MaxMessages > 0 {
		limits = append(limits, counted(int(usage.MaxMessages), "message"))
	}
	if usage.AcceptsNothing() && usage.MaxMessage > 0 {
		limits = append(limits, bus.Size(usage.MaxMessage)+" a message")
	}
	return strings.Join(limits, " and ")
}

func (c *checker) natsClock(ctx context.Context, js jetstream.JetStream) finding {
	bounded, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	asked := time.Now()
	stream, err := js.Stream(bounded, bus.StreamOnboarding)
	if err != nil {
		return skipped("there is no stream to ask", "nats clock")[0]
	}
	return clock("nats clock", asked, time.Now(), stream.CachedInfo().TimeStamp)
}

// workers returns the services that every installation needs.
func workers() []string {
	return []string{
		"rollcall-onboarding", "rollcall-backfill", "rollcall-poller", "rollcall-reconciler", "rollcall-dlqretry", "rollcall-writeback",
		"rollcall-donations", "rollcall-webhooks", "rollcall-notifier",
	}
}

func (c *checker) services(ctx context.Context, on *link) []finding {
	running, err := service.Running(ctx, on.Conn, on.Timeout)
	if err != nil {
		return []finding{failed("services", "Look at the server's log, and whether this user may ask $SRV.PING.", "%v", err)}
	}
	replicas, versions := map[string]int{}, map[string]bool{}
	for _, ping := range running {
		replicas[ping.Name]++
		versions[ping.Version] = true
	}
	var findings []finding
	for _, name := range workers() {
		if replicas[name] == 0 {
			findings = append(findings, failed("services", "Start it, and look at its log where it does not stay.", "%s does not answer", name))
		}
	}
	var shown []string
	for _, name := range sortedKeys(replicas) {
		shown = append(shown, fmt.Sprintf("%d %s", replicas[name], name))
	}
	switch {
	case len(running) == 0:
	case len(versions) > 1:
		findings = append(findings, warning("services", "Bring all to the same version, once an update under way has ended.",
			"%s run, in versions %s", strings.Join(shown, ", "), strings.Join(sortedKeys(versions), ", ")))
	default:
		findings = append(findings, ok("services", "%s run, version %s", strings.Join(shown, ", "), running[0].Version))
	}
	return findings
}
