package cli

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"rollcall.dev/pkg/config"
	"rollcall.dev/pkg/vomo"
)

// States of a finding.
const (
	findingOK      = "ok"
	findingWarning = "warning" // worth a look; nothing fails for it
	findingFailed  = "failed"
	findingSkipped = "skipped" // not looked at, since something before it failed
)

// finding is the result of one check.
type finding struct {
	Check  string `json:"check"`
	State  string `json:"state"`
	Text   string `json:"text"`
	Remedy string `json:"remedy"` // "" where nothing has to be done
}

// doctorDocument is what --json prints.
type doctorDocument struct {
	Healthy bool      `json:"healthy"` // nothing failed
	Checks  []finding `json:"checks"`
}

func ok(check, format string, args ...any) finding {
	return finding{Check: check, State: findingOK, Text: fmt.Sprintf(format, args...)}
}

func warning(check, remedy, format string, args ...any) finding {
	return finding{Check: check, State: findingWarning, Text: fmt.Sprintf(format, args...), Remedy: remedy}
}

func failed(check, remedy, format string, args ...any) finding {
	return finding{Check: check, State: findingFailed, Text: fmt.Sprintf(format, args...), Remedy: remedy}
}

func skipped(because string, checks ...string) []finding {
	var findings []finding
	for _, check := range checks {
		findings = append(findings, finding{Check: check, State: findingSkipped, Text: "not looked at: " + because})
	}
	return findings
}

func (a *app) doctor() *cobra.Command {
	return &cobra.Command{
		Use:   "doctor",
		Short: "Examine the installation: NATS, Postgres, secrets, VOMO, services",
		Long: `Examines everything that the services need, and the services, and says for each thing that is wrong what
helps. It changes nothing and sends no token. It reads the settings that the services read: run it with theirs. It
exits 1 when something failed; warnings do not count.`,
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			settings, err := config.Load(a.Environ)
			if err != nil {
				return err
			}
			reached, err := a.natsSettings()
			if err != nil {
				return err
			}
			check := &checker{app: a, settings: settings, timeout: reached.timeout}
			return a.printFindings(check.runChecks(command.Context()))
		},
	}
}

// checker holds what all checks share.
type checker struct {
	app      *app
	settings config.Config
	timeout  time.Duration // for each step
}

// runChecks checks all parts at the same time: one that does not answer delays no other.
func (c *checker) runChecks(ctx context.Context) []finding {
	parts := []func(context.Context) []finding{c.nats, c.postgres, c.vomo}
	found := make([][]finding, len(parts))
	var looking sync.WaitGroup
	for i, part := range parts {
		looking.Go(func() { found[i] = part(ctx) })
	}
	looking.Wait()
	var all []finding
	for _, findings := range found {
		all = append(all, findings...)
	}
	return all
}

func (a *app) printFindings(findings []finding) error {
	failures, warnings := 0, 0
	for _, found := range findings {
		switch found.State {
		case findingFailed:
			failures++
		case findingWarning:
			warnings++
		}
	}
	if a.json {
		if err := a.document(doctorDocument{Healthy: failures == 0, Checks: findings}); err != nil {
			return err
		}
	} else {
		for _, found := range findings {
			sayf(a.out, "%-8s %s: %s", found.State, found.Check, found.Text)
			if found.Remedy != "" {
				sayf(a.out, "         -> %s", found.Remedy)
			}
		}
	}
	if failures > 0 {
		return fmt.Errorf("%s failed, %s", counted(failures, "check"), counted(warnings, "warning"))
	}
	return nil
}

// clockTolerance is the accepted difference between clocks: only reading logs side by side needs less.
const clockTolerance = 5 * time.Second

// clock compares a server's clock with the local time in the middle of the request.
func clock(check string, asked, answered, theirs time.Time) finding {
	ours := asked.Add(answered.Sub(asked) / 2)
	skew := theirs.Sub(ours).Round(time.Millisecond)
	if skew.Abs() > clockTolerance+answered.Sub(asked)/2 {
		return warning(check, "Have all machines keep time by NTP.", "differs from the one here by %s", skew)
	}
	return ok(check, "agrees with the one here (%s)", skew)
}

// vomo sends VOMO a request without a token. VOMO should refuse it, and no customer's budget pays for it.
func (c *checker) vomo(ctx context.Context) []finding {
	const remedy = "Check VOMO_BASE_URL, and that this machine may go out to it: DNS, firewall, proxy, certificates."
	bounded, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	request, err := http.NewRequestWithContext(bounded, http.MethodGet, strings.TrimRight(c.settings.VomoBaseURL, "/")+"/users", nil)
	if err != nil {
		return []finding{failed("vomo", remedy, "VOMO_BASE_URL cannot be asked")}
	}
	transport := vomo.NewTransport(1)
	transport.DisableKeepAlives = true
	client := &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	response, err := client.Do(request)
	if err != nil {
		return []finding{failed("vomo", remedy, "does not answer: %v", err)}
	}
	_ = response.Body.Close() // the status is all that is read
	switch status := response.StatusCode; {
	case status == http.StatusUnauthorized || status == http.StatusForbidden || status == http.StatusTooManyRequests:
		return []finding{ok("vomo", "answers (%s without a token, as it should)", response.Status)}
	case status >= http.StatusInternalServerError:
		return []finding{warning("vomo", "Wait, and look at VOMO's own status: work goes on by itself when it answers again.", "answers %s", response.Status)}
	}
	return []finding{warning("vomo", "Check VOMO_BASE_URL: VOMO refuses a request without a token.", "answers %s to a request without a token", response.Status)}
}
