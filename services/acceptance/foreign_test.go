package acceptance_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/bus"
)

// VOMO's responses are not under our control: links to other hosts, wrong totals, bodies that are slow, incomplete or endless.
// The mirror is complete in each case, and the token is sent to no other host.
func TestOddVOMOResponsesStillGiveCompleteMirror(t *testing.T) {
	t.Parallel()
	settings := map[string]string{"CLAIM_TIMEOUT": "5s"} // a request may take two fifths of this
	maps.Copy(settings, fast)
	f := newFixture(t, settings)
	f.start(programOnboarding)
	customers := map[string][]string{
		"foreign": {`"kind":"next","next":"foreign"`}, "nullword": {`"kind":"next","next":"null_text"`},
		"endless": {`"kind":"next","next":"on"`}, "itself": {`"kind":"next","next":"self"`, `"kind":"total","by":100000`},
		"nolinks": {`"kind":"next","next":"missing"`, `"kind":"total","by":-59`}, "nonumber": {`"kind":"total","total":"many"`},
		"bodies": {`"kind":"slow_body","delayMs":20,"count":1`, `"kind":"endless_body","count":1`, `"kind":"cut_body","count":1`},
	}
	for customer, faults := range customers {
		f.organisation(customer, 60)
		f.onboard(customer)
		f.awaitState(customer, "queued", soon)
		for _, fault := range faults {
			f.control(http.MethodPost, "/control/faults", json.RawMessage(`{"target":"vomo","org":"`+customer+`",`+fault+`}`), nil)
		}
	}
	f.start(programBackfill)
	for customer := range customers {
		f.awaitState(customer, "completed", longest)
		f.requireMirrored(customer, 60)
		require.Less(t, f.traffic().VOMO[customer].Requests, 100, customer)
	}
}

// committedPages matches the log line of a commit that wrote users, with the number of its pages.
var committedPages = regexp.MustCompile(`"msg":"page committed".*"pages":(\d+),"written":[1-9]`)

func TestDestinationThatAcceptsBatchesGetsBatches(t *testing.T) {
	t.Parallel()
	f := newFixture(t, fast)
	f.organisation("acme", 150)
	f.control(http.MethodPost, "/control/faults",
		json.RawMessage(`{"target":"crm","kind":"status","status":422,"code":"bad_phone","records":["vomo-1020"]}`), nil)
	f.start(programOnboarding)
	backfill := f.start(programBackfill)
	f.publish(bus.SubjectOnboard("acme"), []byte(`{"customerId":"acme","vomoToken":"acme-token",`+
		`"destination":{"kind":"rest","url":"`+f.sandbox+`/crm/acme","batchSize":10}}`))
	f.awaitState("acme", "completed", longest)

	require.Equal(t, comparison{Source: 150, Destination: 149, Same: 149, Missing: 1}, f.compare("acme"))
	require.Equal(t, 1, f.count(`SELECT count(*) FROM dead_letters WHERE record_id = '1020' AND error_code = 'bad_phone'`))
	var seen struct {
		CRM map[string]struct{ Requests int }
	}
	f.control(http.MethodGet, "/control/report", nil, &seen)
	single, together := 0, 0
	for _, commit := range committedPages.FindAllStringSubmatch(backfill.Output(), -1) {
		switch commit[1] {
		case "1":
			single++
		case "2":
			together++
		}
	}
	require.Equal(t, 10, single+2*together, "each page is written once")
	require.Equal(t, 2*single+3*together, seen.CRM["acme"].Requests, "a page is ten users and five, and two pages as one are three times ten")
}
