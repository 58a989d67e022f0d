package cli

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/service"
)

func mismatch(id int64) operatorapi.ReviewItem {
	return operatorapi.ReviewItem{
		ID: id, CustomerID: "acme", Kind: "user", RecordID: new("8205"), Reason: "email_mismatch", Text: "The address differs.", Remedy: "Decide.",
		Decisions: []string{"keep-vomo", "retry-with-vomo-email", "dismiss"}, State: "open", CreatedAt: testTime,
	}
}

func TestReviewItemsAreListedPageByPage(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.answers("review", "ls", func(_ int, data []byte) (any, string) {
		var question operatorapi.ReviewsQuestion
		if err := json.Unmarshal(data, &question); err != nil || question.CustomerID != "acme" || question.Kind != "user" {
			return "a bad question", service.CodeBadRequest
		}
		if question.After == 1 {
			return operatorapi.ReviewsReply{Items: []operatorapi.ReviewItem{mismatch(2)}}, noCode
		}
		return operatorapi.ReviewsReply{Items: []operatorapi.ReviewItem{mismatch(1)}, Next: new(int64(1))}, noCode
	})
	got := f.run("review", "ls", "acme", "--kind", "user")
	require.Zero(t, got.code, got.stderr)
	lines := strings.Split(strings.TrimSpace(got.stdout), "\n")
	require.Len(t, lines, 3)
	require.Regexp(t, `^ID +CUSTOMER +KIND +RECORD +REASON +AGE +STATE +DECISIONS$`, lines[0])
	require.Regexp(t, `^1 +acme +user +8205 +email_mismatch +\S+ +open +keep-vomo, retry-with-vomo-email, dismiss$`, lines[1])
	require.Len(t, document[operatorapi.ReviewsReply](t, f.run("review", "ls", "acme", "--kind", "user", "--json")).Items, 2)
}

func TestReviewShowPrintsBothSidesValues(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.answers("review", "show", always(operatorapi.ReviewShown{
		ReviewItem: mismatch(7), Details: []operatorapi.ReviewDetail{{Field: "email", External: "a@example.org", Vomo: "b@example.org"}},
	}))
	got := f.run("review", "show", "acme", "7")
	require.Zero(t, got.code, got.stderr)
	require.Contains(t, got.stdout, `external "a@example.org", VOMO "b@example.org"`)
	require.Equal(t, "b@example.org", document[operatorapi.ReviewShown](t, f.run("review", "show", "acme", "7", "--json")).Details[0].Vomo)
}

func TestReviewResolveSendsTheDecision(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.answers("review", "resolve", func(_ int, data []byte) (any, string) {
		var command operatorapi.ReviewDecision
		if err := json.Unmarshal(data, &command); err != nil || command != (operatorapi.ReviewDecision{CustomerID: "acme", ItemID: 7, Decision: "dismiss"}) {
			return "item 7 allows these decisions: dismiss", service.CodeBadRequest
		}
		item := mismatch(7)
		item.State, item.Decision = "decided", new("dismiss")
		return item, noCode
	})
	require.Equal(t, result{stdout: "acme: item 7 is decided: dismiss\n"}, f.run("review", "resolve", "acme", "7", "dismiss"))
	got := f.run("review", "resolve", "acme", "7", "keep")
	require.Equal(t, exitFailed, got.code)
	require.Contains(t, got.stderr, "allows these decisions")
}

func TestReviewOfUnknownItemOrWrongUseFails(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.answers("review", "show", unknown)
	got := f.run("review", "show", "acme", "9")
	require.Equal(t, exitFailed, got.code)
	require.Contains(t, got.stderr, `customer "acme" has no review item 9`)
	require.Equal(t, exitUsage, f.run("review", "show", "acme", "x").code)
	require.Equal(t, exitUsage, f.run("review", "ls", "--settled").code)
	require.Equal(t, exitUsage, f.run("review").code)
}

func TestReviewOfAContactShowsThePlatformAndVirtuous(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for _, kind := range []string{"contact", "gift"} {
		item := mismatch(7)
		item.Kind, item.RecordID, item.Reason, item.Decisions = kind, new("501"), "duplicate_email", []string{"take-partner", "take-virtuous", "dismiss"}
		stopList := f.answers("review", "ls", func(_ int, data []byte) (any, string) {
			var question operatorapi.ReviewsQuestion
			if err := json.Unmarshal(data, &question); err != nil || question.Kind != kind {
				return "a bad question", service.CodeBadRequest
			}
			return operatorapi.ReviewsReply{Items: []operatorapi.ReviewItem{item}}, noCode
		})
		require.Regexp(t, `7 +acme +`+kind+` +501 +duplicate_email .*take-partner, take-virtuous, dismiss`, f.run("review", "ls", "acme", "--kind", kind).stdout)
		stopShow := f.answers("review", "show", always(operatorapi.ReviewShown{ReviewItem: item, Details: []operatorapi.ReviewDetail{
			{Field: "email", Partner: "a@example.org", Virtuous: "b@example.org"}, {Field: "otherContact", Virtuous: "7"},
		}}))
		got := f.run("review", "show", "acme", "7")
		require.Zero(t, got.code, got.stderr)
		require.Regexp(t, kind+` at Virtuous +501`, got.stdout)
		require.Contains(t, got.stdout, `platform "a@example.org", Virtuous "b@example.org"`)
		require.Regexp(t, `otherContact +7`, got.stdout)
		require.NotContains(t, got.stdout, "VOMO")
		stopList()
		stopShow()
	}
	require.Equal(t, exitUsage, f.run("review", "ls", "acme", "--kind", "contacts").code)
}
