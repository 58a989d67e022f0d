package pages

import (
	"net/http"
	"strings"

	"rollcall.dev/pkg/operatorapi"
)

// flash is what a page says about the act that led to it.
type flash struct{ Kind, Text, UndoPath string }

// flashOf returns what the address says was done.
func flashOf(r *http.Request) flash {
	code := r.URL.Query().Get("said")
	switch code {
	case "paused":
		return flash{Kind: "done", Text: "Paused: nothing is read or written until you resume.", UndoPath: r.URL.Path + "/resume"}
	case "resumed":
		return flash{Kind: "done", Text: "Resumed, with a poll at once.", UndoPath: r.URL.Path + "/pause"}
	case "retry-chosen", "discard-chosen":
		return chosenFlash(r, code)
	}
	if reason, found := strings.CutPrefix(code, "left-"); found {
		why, helps := operatorapi.ExplainLeft(reason)
		return flash{Kind: "wrong", Text: "Nothing was done: " + why + ". What helps: " + helps + "."}
	}
	if text, found := saysDone()[code]; found {
		return flash{Kind: "done", Text: text}
	}
	if text, found := saysWrong()[code]; found {
		return flash{Kind: "wrong", Text: text}
	}
	return flash{}
}

// saysDone returns what a page says after an act, by the code in its address.
func saysDone() map[string]string {
	return map[string]string{ //nolint:gosec // sentences about tokens, and none
		"approved":                 "Approved: each record is asked for once more, and then deleted.",
		"backfill-resumed":         "The backfill goes on where it stopped.",
		"backfill-started":         "A backfill was started.",
		"decided":                  "Decided.",
		"discard-letter":           "The letter was discarded. Its record stays as the destination has it.",
		"drain-aborted":            "Aborted. What was done stays done; the other letters stay as they are.",
		"drain-started":            "Started. It goes on if you leave this page.",
		"poll-requested":           "A poll was requested. What it finds is shown here in a moment.",
		"poll-waits":               "A poll is under way, or was requested already.",
		"reconciliation-requested": "A reconciliation was requested.",
		"reconciliation-waits":     "A reconciliation is under way, or was requested already.",
		"rejected":                 "Rejected: nothing is deleted.",
		"retry-letter":             "The letter is retried at once.",
		"test-sent":                "The endpoint has accepted a test event.",
		"token-applied":            "The new token works, and replaces the old one. Work continues where it stopped.",
		"token-duplicate":          "This token was in force already.",
		"token-pending":            "The new token is still being tested. This page shows the result in a moment.",
		"token-superseded":         "A newer request was made meanwhile; this one changed nothing.",
		"undone":                   "Each deleted record is read again. What its source still has comes back.",
	}
}

// saysWrong returns what a page says after an act that was not done.
func saysWrong() map[string]string {
	return map[string]string{ //nolint:gosec // as above
		"none-chosen":    "Nothing was done: tick the letters first.",
		"not-confirmed":  "Nothing was done: the customer's id was not typed as it is.",
		"not-runnable":   "Nothing was requested: the customer is paused, switched off, or not through its first backfill.",
		"test-failed":    "The endpoint has not accepted the test event. The deliveries below say why.",
		"token-missing":  "Nothing was changed: the token is missing.",
		"token-rejected": "VOMO does not accept this token. The old one stays.",
	}
}

// chosenFlash says how many of the ticked letters were retried or discarded.
func chosenFlash(r *http.Request, code string) flash {
	said := flash{Kind: "done", Text: counted(numberIn(r, "n"), "letter was", "letters were") + " discarded."}
	if code == "retry-chosen" {
		said.Text = counted(numberIn(r, "n"), "letter is", "letters are") + " retried at once."
	}
	if left := numberIn(r, "left"); left > 0 {
		said.Kind = "wrong"
		said.Text += " " + counted(left, "stays as it is", "stay as they are") + "; each one's page says why."
	}
	return said
}
