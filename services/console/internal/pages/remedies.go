package pages

import (
	"net/url"
	"strings"

	"rollcall.dev/services/console/internal/access"
)

// remedy is the one act that a page offers for a bad state, and the same act as a command.
type remedy struct {
	Label   string // of the button; "": there is nothing to press
	Path    string
	IsLink  bool // it leads to a page; otherwise it is done at once
	Right   access.Right
	Command string
}

// remedyFor returns what is done about a reason code. What it returns for a code that it does not know shows more about the customer.
func remedyFor(code, customer string) remedy {
	at := customerPath(customer)
	listed := "?customer=" + url.QueryEscape(customer)
	look := func(label, path, command string) remedy {
		return remedy{Label: label, Path: path, IsLink: true, Right: access.Read, Command: command + " " + customer}
	}
	switch code {
	case "customer_paused":
		return remedy{Label: "Resume", Path: at + "/resume", Right: access.Pause, Command: "rollcall resume " + customer}
	case "paused", "backfill_failed", "backfill_unverified", "rewrite_unfinished", "backfill_stalled":
		return remedy{Label: "Start the backfill", Path: at + "/backfill", Right: access.Customers, Command: "rollcall backfill start " + customer}
	case "auth_failed", "vomo_forbidden", "disabled":
		return remedy{
			Label: "Replace the token", Path: "#token", IsLink: true, Right: access.Token, Command: "rollcall config set " + customer + " --vomo-token-file <file>",
		}
	case "virtuous_auth_failed", "virtuous_forbidden", "virtuous_no_key":
		return remedy{Command: "rollcall config set " + customer + " --virtuous-token-file <file>"}
	case "destination_auth_failed":
		return remedy{Command: "rollcall config set " + customer + " --destination-token-file <file>"}
	case "poll_stalled", "poll_failing":
		return remedy{Label: "Poll now", Path: at + "/poll", Right: access.Customers, Command: "rollcall poll now " + customer}
	case "dlq_depth", "dlq_age", "dlq_growth", "onboarding_letter":
		return look("See the letters", "/letters"+listed, "rollcall dlq ls")
	case "deletions_held":
		return look("Look and decide", "/held/"+url.PathEscape(customer)+"/user", "rollcall deletions show")
	case "gift_deletions_held":
		made := look("Look and decide", "/held/"+url.PathEscape(customer)+"/gift", "rollcall deletions show")
		made.Command += " --entity gift"
		return made
	case "email_mismatch", "giving_conflicts", "giving_conflict_high", "giving_needs_review_high":
		return look("Decide", "/review"+listed, "rollcall review ls")
	case "reconcile_stalled":
		return remedy{Label: "Reconcile now", Path: at + "/reconcile", Right: access.Customers, Command: "rollcall reconcile now " + customer}
	case "outbox_stalled", "database_unavailable", "keeper_unavailable":
		return remedy{Label: "See the streams", Path: "/streams", IsLink: true, Right: access.Read, Command: "rollcall doctor"}
	}
	if strings.HasPrefix(code, "giving_") || strings.HasPrefix(code, "donations_") {
		return remedy{Command: "rollcall report " + customer}
	}
	return remedy{Command: "rollcall status " + customer}
}
