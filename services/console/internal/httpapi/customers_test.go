package httpapi

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/report"
	"rollcall.dev/pkg/service"
	"rollcall.dev/services/console/internal/access"
)

func fixedTime() time.Time { return time.Date(2026, 3, 2, 9, 30, 0, 0, time.UTC) }

// knowsCustomers answers as the onboarding service would that knows these customers.
func (f *fixture) knowsCustomers(ids ...string) {
	f.t.Helper()
	known := map[string]bool{}
	for _, id := range ids {
		known[id] = true
	}
	answers(f, "customers", "ls", func(_ string, question operatorapi.CustomersQuestion) (operatorapi.CustomersReply, *rejection) {
		page := operatorapi.CustomersReply{AsOf: fixedTime(), Customers: []operatorapi.Customer{}}
		for i, id := range ids {
			if id <= question.After || (question.CustomerID != "" && question.CustomerID != id) {
				continue
			}
			if int32(len(page.Customers)) == question.Limit {
				page.Next = &ids[i-1]
				break
			}
			page.Customers = append(page.Customers, operatorapi.Customer{CustomerID: id, Alerts: []string{}})
		}
		return page, nil
	})
	answers(f, "status", "get", func(_ string, question report.StatusQuestion) (report.Status, *rejection) {
		if !known[question.CustomerID] {
			return report.Status{}, &rejection{code: service.CodeNotFound, text: "not found"}
		}
		return report.Status{CustomerID: question.CustomerID, AsOf: time.Now()}, nil
	})
}

func TestCustomersAreListedPageByPage(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.knowsCustomers("acme", "bolt", "core")
	first := into[Page[operatorapi.Customer]](t, f.get("/customers?limit=2", administrator()))
	require.Len(t, first.Items, 2)
	require.NotNil(t, first.Next)
	last := into[Page[operatorapi.Customer]](t, f.get("/customers?limit=2&cursor="+*first.Next, administrator()))
	require.Len(t, last.Items, 1)
	require.Equal(t, "core", last.Items[0].CustomerID)
	require.Nil(t, last.Next)
}

func TestPrincipalOfOneCustomerSeesOnlyThatOne(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.knowsCustomers("acme", "bolt")
	bound := of("bolt", access.Read)
	page := into[Page[operatorapi.Customer]](t, f.get("/customers", bound))
	require.Len(t, page.Items, 1)
	require.Equal(t, "bolt", page.Items[0].CustomerID)
	require.Equal(t, http.StatusOK, f.get("/customers/bolt/status", bound).status)

	foreign, unknown := f.get("/customers/acme/status", bound), f.get("/customers/none/status", bound)
	require.Equal(t, http.StatusNotFound, foreign.status)
	require.Equal(t, unknown.body, foreign.body, "existence must not leak")
	require.Equal(t, string(foreign.body), string(f.get("/customers/none/status", administrator()).body))
}

func TestUnchangedStatusIsNotSentAgain(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.knowsCustomers("acme")
	first := f.get("/customers/acme/status", administrator())
	tag := first.header.Get("ETag")
	require.Contains(t, tag, `W/"`, "the time of the answer does not count")
	again := f.get("/customers/acme/status", administrator(), "If-None-Match", tag)
	require.Equal(t, http.StatusNotModified, again.status)
	require.Empty(t, again.body)
	require.Equal(t, http.StatusOK, f.get("/customers/acme/status", administrator(), "If-None-Match", `"other"`).status)
}
