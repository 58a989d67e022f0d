package httpapi

import (
	"bufio"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/danielgtaylor/huma/v2"
	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/services/console/internal/access"
)

// Where an operation has its customer.
const (
	inPath       = "path"
	inQuery      = "query"
	inBody       = "body"
	ofLetter     = "letter"       // the letter's
	ofDrain      = "drain"        // the drain's
	forced       = "forced"       // a principal of one customer sees only that one
	installation = "installation" // none, and a principal of one customer may not use it
	ofNone       = "none"
)

type allowed struct {
	right    access.Right
	customer string
}

// rights has each operation: a new one without an entry fails the test.
func rights() map[string]allowed {
	table := map[string]allowed{
		"list-customers": {access.Read, forced}, "get-key": {access.Read, ofNone}, "test-alerts": {access.Customers, installation},
		"get-letter": {access.Read, ofLetter}, "get-letter-payload": {access.Donors, ofLetter},
		"plan-letters": {access.Read, inBody}, "retry-letters": {access.Letters, inBody}, "discard-letters": {access.Letters, inBody},
		"list-drains": {access.Read, inQuery}, "get-drain": {access.Read, ofDrain}, "list-drain-items": {access.Read, ofDrain},
		"start-drain": {access.Letters, inBody}, "abort-drain": {access.Letters, ofDrain},
	}
	for right, ids := range map[access.Right]string{
		access.Read: "list-letters count-letters-by-code export-letters list-review-items list-deletion-scans list-alerts list-acts list-backfills",
	} {
		for id := range strings.FieldsSeq(ids) {
			table[id] = allowed{right, inQuery}
		}
	}
	for right, ids := range map[access.Right]string{
		access.Read: "get-customer-status get-config get-onboarding get-record-timeline get-deletion-scan list-donations get-donation " +
			"list-reconciliation-actions get-giving-report list-contact-transactions get-contact-transaction list-webhooks",
		access.Pause:     "pause-customer resume-customer",
		access.Token:     "replace-vomo-token replace-virtuous-key",
		access.Review:    "get-review-item resolve-review-item",
		access.Deletions: "scan-deletions approve-deletions reject-deletions undo-deletions",
		access.Donors:    "list-gifts get-gift list-contacts get-contact",
		access.Donations: "submit-donation retry-donation close-donation submit-contact retry-contact-transaction close-contact-transaction apply-contact fix-record",
		access.Customers: "onboard-customer change-config start-backfill pause-backfill cancel-backfill poll-customer reconcile-customer resync-user " +
			"add-webhook rotate-webhook verify-webhook replay-webhooks remove-webhook",
		access.Admin: "plan-offboarding offboard-customer",
	} {
		for id := range strings.FieldsSeq(ids) {
			table[id] = allowed{right, inPath}
		}
	}
	for id := range strings.FieldsSeq("list-endpoints get-endpoint add-endpoint change-endpoint remove-endpoint test-endpoint rotate-endpoint " +
		"list-endpoint-deliveries replay-endpoint list-tokens add-token revoke-token list-links add-link revoke-link") {
		table[id] = allowed{access.Admin, installation}
	}
	return table
}

// operation is an operation of the document with a path that it takes.
type operation struct {
	id, method, path string
	headers          []string // that the document has
}

func operations(document *huma.OpenAPI) []operation {
	var all []operation
	filled := strings.NewReplacer("{customer}", "acme", "{kind}", "gift", "{letter}", "0191f1d2-3b4c-7d5e-8f60-718293a4b5c6", "{item}", "1", "{gift}", "1",
		"{contact}", "1", "{drain}", "1", "{endpoint}", "1", "{name}", "crm", "{link}", "1", "{sequence}", "1", "{user}", "1", "{record}", "1",
		"{donation}", "1", "{reference}", "1")
	for path, item := range document.Paths {
		for _, one := range []*huma.Operation{item.Get, item.Post, item.Patch, item.Delete, item.Put} {
			if one != nil {
				var headers []string
				for _, param := range one.Parameters {
					if param.In == "header" {
						headers = append(headers, param.Name)
					}
				}
				all = append(all, operation{one.OperationID, one.Method, filled.Replace(path), headers})
			}
		}
	}
	return all
}

func TestEachOperationKeepsToRightsAndCustomers(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	answers(f, "letters", "show", func(_ string, question operatorapi.LetterQuestion) (operatorapi.LetterShown, *rejection) {
		return operatorapi.LetterShown{LetterDetail: operatorapi.LetterDetail{Letter: operatorapi.Letter{ID: question.ID, CustomerID: "acme"}}}, nil
	})
	answers(f, "drains", "show", func(_ string, question operatorapi.DrainQuestion) (operatorapi.DrainShown, *rejection) {
		return operatorapi.DrainShown{Drain: operatorapi.Drain{ID: question.ID, CustomerID: new("acme")}}, nil
	})
	table := rights()
	for _, op := range operations(f.document) {
		entry, known := table[op.id]
		require.True(t, known, "%s has no entry in the table of rights", op.id)
		delete(table, op.id)
		require.Equal(t, http.StatusUnauthorized, f.checked(op.method, op.path, "", access.Principal{}).status, op.id)

		without := administrator()
		without.Rights = slices.DeleteFunc(slices.Clone(without.Rights), func(right access.Right) bool { return right == entry.right })
		require.Equal(t, http.StatusForbidden, f.checked(op.method, op.path, "", without).status, op.id)

		path, body, want := op.path, "", http.StatusNotFound
		switch entry.customer {
		case inQuery:
			path += "?customer=acme"
		case inBody:
			body = `{"customerId":"acme","allMatching":true}`
			if op.id == "start-drain" {
				body = `{"customerId":"acme","verb":"retry"}`
			}
		case installation:
			want = http.StatusForbidden
		case forced, ofNone:
			continue
		}
		foreign := of("bolt", access.Administrator.Rights()...)
		got := f.checked(op.method, path, body, foreign)
		require.Equal(t, want, got.status, "%s: %s", op.id, got.body)
		if want == http.StatusNotFound {
			require.Equal(t, notFound, into[huma.ErrorModel](t, got).Detail, op.id)
		}
	}
	require.Empty(t, table, "operations that there are not")
}

// commands has the operation of each command of the operator, or why it has none.
func commands() map[string]string {
	return map[string]string{
		"alerts ls": "list-alerts", "alerts test": "test-alerts", "audit ls": "list-acts", "backfill cancel": "cancel-backfill",
		"backfill ls": "list-backfills", "backfill pause": "pause-backfill", "backfill start": "start-backfill", "backfill watch": "list-backfills",
		"config set": "change-config", "config show": "get-config", "contact applied": "apply-contact", "contact close": "close-contact-transaction",
		"contact ls": "list-contacts", "contact retry": "retry-contact-transaction", "contact show": "get-contact", "contact submit": "submit-contact",
		"customer ls": "list-customers", "customer pause": "pause-customer", "customer resume": "resume-customer", "deletions approve": "approve-deletions",
		"deletions ls": "list-deletion-scans", "deletions reject": "reject-deletions", "deletions scan": "scan-deletions",
		"deletions show": "get-deletion-scan", "deletions undo": "undo-deletions", "dlq discard": "discard-letters",
		"drain abort": "abort-drain", "drain ls": "list-drains",
		"drain show": "list-drain-items", "drain start": "start-drain", "drain watch": "get-drain", "dlq export": "export-letters",
		"dlq ls": "list-letters", "dlq retry": "retry-letters", "dlq show": "get-letter", "donation close": "close-donation",
		"donation ls": "list-donations", "donation retry": "retry-donation", "donation show": "get-donation", "donation submit": "submit-donation",
		"gift ls": "list-gifts", "gift show": "get-gift", "key": "get-key", "offboard": "offboard-customer", "onboard": "onboard-customer",
		"pause": "pause-customer", "poll now": "poll-customer", "reconcile log": "list-reconciliation-actions", "reconcile now": "reconcile-customer",
		"record": "get-record-timeline", "report": "get-giving-report", "resume": "resume-customer", "resync": "resync-user",
		"review ls": "list-review-items", "review resolve": "resolve-review-item", "review show": "get-review-item", "status": "get-customer-status",
		"webhook add": "add-webhook", "webhook ls": "list-webhooks", "webhook replay": "replay-webhooks", "webhook rm": "remove-webhook",
		"webhook rotate": "rotate-webhook", "webhook verify": "verify-webhook",

		"link ls": "list-links", "link revoke": "revoke-link", "token add": "add-token", "token ls": "list-tokens", "token revoke": "revoke-token",
		"endpoint add": "add-endpoint", "endpoint deliveries": "list-endpoint-deliveries", "endpoint ls": "list-endpoints",
		"endpoint replay": "replay-endpoint", "endpoint rm": "remove-endpoint", "endpoint rotate": "rotate-endpoint", "endpoint set": "change-endpoint",
		"endpoint show": "get-endpoint", "endpoint test": "test-endpoint",

		"dev": "", "doctor": "", "migrate": "", "secrets rotate": "", // they reach Postgres, or run services
		"init": "", "nats-context": "", "version": "", // about the machine on which the command runs
		"tail events": "", "tail alerts": "", "top": "", // views of NATS in a terminal
	}
}

func TestEachCommandHasAnOperation(t *testing.T) {
	t.Parallel()
	file, err := os.Open("../../../rollcall/internal/cli/testdata/names.txt")
	require.NoError(t, err)
	defer func() { require.NoError(t, file.Close()) }()
	var names []string
	for lines := bufio.NewScanner(file); lines.Scan(); {
		if name, isCommand := strings.CutPrefix(lines.Text(), "command rollcall "); isCommand {
			names = append(names, name)
		}
	}
	require.NotEmpty(t, names)
	ids := map[string]bool{"": true}
	_, document := build(Deps{})
	for _, one := range operations(document) {
		ids[one.id] = true
	}
	table := commands()
	for _, name := range names {
		isGroup := slices.ContainsFunc(names, func(other string) bool { return strings.HasPrefix(other, name+" ") })
		if isGroup {
			continue
		}
		id, known := table[name]
		require.True(t, known, "%s has neither an operation nor a reason", name)
		require.True(t, ids[id], "%s: there is no operation %s", name, id)
	}
}
