package dev

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"unicode/utf8"
)

// guide prints what the operator can do next.
type guide struct {
	program    string // how to call this program
	dir        string // --dir, "" for the usual folder
	natsURL    string
	sandboxURL string
	webhooks   string
	console    string
	adminToken string // "" after the first start
	folder     string
	usualNATS  bool
}

// box returns the text for the time when everything runs.
func (g guide) box(emphasise func(string) string) string {
	rows := []string{
		"console   " + g.console + "   read-only until you sign in with an API token",
		"NATS      " + g.natsURL,
		"sandbox   " + g.sandboxURL + "   VOMO at /vomo/v1, a CRM at /crm, Virtuous at /virtuous, faults and reports at /control",
		"webhooks  " + g.webhooks + "   of Virtuous, at /webhooks/virtuous/<customer>",
		"data      " + g.folder + "   logs in logs/; remove the folder to start anew",
	}
	width := 0
	for _, row := range rows {
		width = max(width, utf8.RuneCountInString(row))
	}
	var text strings.Builder
	fmt.Fprintf(&text, "\n+-%s-+\n", strings.Repeat("-", width))
	for _, row := range rows {
		fmt.Fprintf(&text, "| %s%s |\n", row, strings.Repeat(" ", width-utf8.RuneCountInString(row)))
	}
	fmt.Fprintf(&text, "+-%s-+\n\n", strings.Repeat("-", width))
	if g.adminToken != "" {
		text.WriteString(emphasise("The console's admin token") + ", which is shown this once:\n\n  " + g.adminToken + "\n\n")
	} else {
		fmt.Fprintf(&text, "An API token that signs you in to the console was shown at the first start. Another one:\n\n  %s token add me --role admin\n\n",
			g.program)
	}
	text.WriteString(emphasise("In another terminal") + ", onboard the sandbox's organisation " + otherOrg + " with the plain nats command:\n\n")
	g.address(&text)
	g.onboarding(&text)
	fmt.Fprintf(&text, "  %s backfill watch %s\n  %s status %s\n\n", g.program, otherOrg, g.program, otherOrg)
	text.WriteString("The doctor reaches Postgres and the keys itself, and reads from the folder how:\n\n")
	fmt.Fprintf(&text, "  %s\n\n", g.doctor())
	text.WriteString("Ctrl-C stops everything; the next start continues with the same data.\n\n")
	return text.String()
}

// afterDemo returns the text for the end of a demonstration.
func (g guide) afterDemo() string {
	var text strings.Builder
	text.WriteString("\nNext: start it to stay, and in another terminal look at the mirror and onboard a second organisation:\n\n")
	start := g.program + " dev"
	if g.dir != "" {
		start += " --dir " + g.dir
	}
	fmt.Fprintf(&text, "  %s\n", start)
	g.address(&text)
	fmt.Fprintf(&text, "  %s status %s\n", g.program, demoOrg)
	g.onboarding(&text)
	fmt.Fprintf(&text, "  %s backfill watch %s\n\n", g.program, otherOrg)
	return text.String()
}

// address writes the setting that both commands need if NATS has another port than usual.
func (g guide) address(text *strings.Builder) {
	if !g.usualNATS {
		fmt.Fprintf(text, "  export NATS_URL=%s\n", g.natsURL)
	}
}

func (g guide) onboarding(text *strings.Builder) {
	fmt.Fprintf(text, `  nats req rollcall.onboarding.request.%[1]s '{"customerId":"%[1]s","vomoToken":"%[2]s","externalSystemUrl":"%[3]s/crm/%[1]s"}'`+"\n",
		otherOrg, sandboxToken(otherOrg), g.sandboxURL)
}

// programName returns how to call this program: its name if PATH finds it, else its path.
func programName() string {
	const name = "rollcall"
	self, err := os.Executable()
	if err != nil {
		return name
	}
	if found, err := exec.LookPath(name); err == nil && sameFile(found, self) {
		return name
	}
	here, err := os.Getwd()
	if err != nil {
		return self
	}
	relative, err := filepath.Rel(here, self)
	switch {
	case err != nil || strings.HasPrefix(relative, filepath.Join("..", "..")):
		return self
	case !strings.ContainsRune(relative, filepath.Separator):
		return "./" + relative
	default:
		return relative
	}
}

func sameFile(a, b string) bool {
	first, err := os.Stat(a)
	if err != nil {
		return false
	}
	second, err := os.Stat(b)
	return err == nil && os.SameFile(first, second)
}
