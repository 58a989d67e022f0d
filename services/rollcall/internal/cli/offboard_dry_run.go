package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/dustin/go-humanize"

	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/store"
)

// showOffboarding says what an offboarding would delete and when, or how far it is.
func (a *app) showOffboarding(ctx context.Context, customer string) error {
	on, err := a.connect()
	if err != nil {
		return err
	}
	defer on.close()
	question := operatorapi.OffboardingQuestion{CustomerID: customer}
	// The answer is kept as it arrives: a newer service may send fields that this command does not know.
	raw, err := ask[operatorapi.OffboardingQuestion, json.RawMessage](ctx, on, "offboardings", "get", question)
	if err != nil {
		return customerError(customer, err)
	}
	if a.json {
		return a.document(raw)
	}
	var shown operatorapi.Offboarding
	if err := json.Unmarshal(raw, &shown); err != nil {
		return fmt.Errorf("read offboarding: %w", err)
	}
	count := humanize.Comma
	lines := a.table()
	lines.row(offboardingHeading(shown))
	lines.group("at once",
		"credentials", listOrNone(shown.AtOnce.Credentials),
		"data key", keyText(shown.AtOnce.DataKey),
		"unfinished runs", count(shown.AtOnce.OpenRuns),
		"unpublished messages", count(shown.AtOnce.UnpublishedMessages))
	if giving := shown.Giving; giving.Pending+giving.Submitted > 0 || giving.Queued > 0 {
		lines.group("donations that are closed, with --force",
			"pending", count(giving.Pending),
			"submitted", count(giving.Submitted),
			"not captured yet", count(int64(giving.Queued)), //nolint:gosec // no stream has 2^63 messages
			"ids", listOrNone(giving.Donations))
	}
	if giving := shown.Giving; giving.PendingContacts+giving.SubmittedContacts > 0 {
		lines.group("contacts that are closed, with --force",
			"pending", count(giving.PendingContacts),
			"submitted", count(giving.SubmittedContacts),
			"references", listOrNone(giving.Contacts))
	}
	lines.group("within minutes, before a return",
		"addresses of users", count(shown.Soon.Addresses),
		"open dead letters", count(shown.Soon.OpenLetters),
		"active alerts", count(shown.Soon.ActiveAlerts),
		"messages", messagesText(shown.Soon.Messages))
	lines.group("from "+moment(shown.PurgeAt)+" on",
		"users in the mapping", count(shown.Purge.Users),
		"settled dead letters", count(shown.Purge.SettledLetters))
	lines.group("stays", "audit, job log", "with ids, without other personal data")
	return lines.end()
}

func offboardingHeading(shown operatorapi.Offboarding) string {
	if shown.OffboardedAt == nil {
		return shown.CustomerID + ": nothing was changed; an offboarding would delete"
	}
	heading := shown.CustomerID + ": offboarded " + moment(*shown.OffboardedAt)
	if shown.Step == nil {
		return heading
	}
	next := map[store.OffboardingStep]string{
		store.OffboardingBlanksRecords: "records are being blanked", store.OffboardingErasesMessages: "messages are being erased",
		store.OffboardingErasesLateMessages: "late messages are being erased", store.OffboardingRetains: "the mapping is kept",
		store.OffboardingPurges: "the mapping is being purged", store.OffboardingPurged: "everything is purged",
	}[store.OffboardingStep(*shown.Step)]
	if next == "" {
		next = *shown.Step // a newer service's
	}
	return heading + "; " + next + "; still there:"
}

func keyText(has bool) string {
	if has {
		return "yes: what it sealed can never be opened again"
	}
	return "none"
}

func listOrNone(list []string) string {
	if len(list) == 0 {
		return "none"
	}
	return strings.Join(list, ", ")
}

func messagesText(messages map[string]uint64) string {
	counts := make([]string, 0, len(messages))
	for _, stream := range slices.Sorted(maps.Keys(messages)) {
		counts = append(counts, stream+" "+humanize.Comma(int64(messages[stream]))) //nolint:gosec // no stream has 2^63 messages
	}
	return listOrNone(counts)
}
