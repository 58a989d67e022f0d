package acceptance_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/bus"
)

// VOMO's answers are not under our control: links that lead astray, totals that lie, bodies that drip, break off or
// never end. The mirror is complete all the same, and the token goes nowhere else.
func TestAForeignListIsMirroredWhole(t *testing.T) {
	t.Parallel()
	settings := map[string]string{"CLAIM_TIMEOUT": "5s"} // a request may take two fifths of it
	maps.Copy(settings, fast)
	h := newHouse(t, settings)
	h.start(programOnboarding)
	customers := map[string][]string{
		"foreign": {`"kind":"next","next":"foreign"`}, "nullword": {`"kind":"next","next":"null_text"`},
		"endless": {`"kind":"next","next":"on"`}, "itself": {`"kind":"next","next":"self"`, `"kind":"total","by":100000`},
		"nolinks": {`"kind":"next","next":"missing"`, `"kind":"total","by":-59`}, "nonumber": {`"kind":"total","total":"many"`},
		"bodies": {`"kind":"slow_body","delayMs":20,"count":1`, `"kind":"endless_body","count":1`, `"kind":"cut_body","count":1`},
	}
	for customer, faults := range customers {
		h.organisation(customer, 60)
		h.onboard(customer)
		h.untilState(customer, "queued", soon)
		for _, fault := range faults {
			h.control(http.MethodPost, "/control/faults", json.RawMessage(`{"target":"vomo","org":"`+customer+`",`+fault+`}`), nil)
		}
	}
	h.start(programBackfill)
	for customer := range customers {
		h.untilState(customer, "completed", longest)
		h.requireMirrored(customer, 60)
		require.Less(t, h.traffic().VOMO[customer].Requests, 100, customer)
	}
}

func TestADestinationThatTakesBatchesGetsThem(t *testing.T) {
	t.Parallel()
	h := newHouse(t, fast)
	h.organisation("acme", 150)
	h.control(http.MethodPost, "/control/faults",
		json.RawMessage(`{"target":"crm","kind":"status","status":422,"code":"bad_phone","records":["vomo-1020"]}`), nil)
	h.start(programOnboarding)
	h.start(programBackfill)
	h.publish(bus.SubjectOnboard("acme"), []byte(`{"customerId":"acme","vomoToken":"acme-token",`+
		`"destination":{"kind":"rest","url":"`+h.sandbox+`/crm/acme","batchSize":10}}`))
	h.untilState("acme", "completed", longest)

	require.Equal(t, comparison{Source: 150, Destination: 149, Same: 149, Missing: 1}, h.compare("acme"))
	require.Equal(t, 1, h.count(`SELECT count(*) FROM dead_letters WHERE record_id = '1020' AND error_code = 'bad_phone'`))
	var seen struct {
		CRM map[string]struct{ Requests int }
	}
	h.control(http.MethodGet, "/control/report", nil, &seen)
	require.Equal(t, 20, seen.CRM["acme"].Requests, "two a page: ten users, and five")
}
