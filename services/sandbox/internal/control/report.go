package control

import (
	"net/http"

	"rollcall.dev/services/sandbox/internal/answer"
	"rollcall.dev/services/sandbox/internal/crm"
	"rollcall.dev/services/sandbox/internal/traffic"
)

// crmReport has the writes and the requests of one tenant.
type crmReport struct {
	crm.Writes
	Refused  int            `json:"refused"` // rejected requests, and rejected records of a batch
	Requests int            `json:"requests"`
	Statuses map[string]int `json:"statuses"`
}

func (a *API) report(w http.ResponseWriter, _ *http.Request) {
	tenants := make(map[string]crmReport)
	for name, writes := range a.Records.Reports() {
		tenants[name] = crmReport{Writes: writes, Statuses: map[string]int{}}
	}
	for name, seen := range a.CRMTraffic.Reports() {
		tenant, found := tenants[name]
		if !found { // every request was rejected before the tenant was added
			tenant.WrittenAgain = []crm.RecordTimes{}
		}
		tenant.Refused, tenant.Requests, tenant.Statuses = seen.Refused, seen.Requests, seen.Statuses
		tenants[name] = tenant
	}
	answer.JSON(w, http.StatusOK, struct {
		VOMO     map[string]traffic.Report `json:"vomo"`
		CRM      map[string]crmReport      `json:"crm"`
		Virtuous map[string]traffic.Report `json:"virtuous"`
	}{a.VOMOTraffic.Reports(), tenants, a.Virtuous.Traffic.Reports()})
}

func (a *API) resetReport(w http.ResponseWriter, _ *http.Request) {
	a.VOMOTraffic.Reset()
	a.CRMTraffic.Reset()
	a.Virtuous.Traffic.Reset()
	a.Virtuous.Quotas.Reset()
	a.Records.Reset()
	w.WriteHeader(http.StatusNoContent)
}

func (a *API) dumpRecords(w http.ResponseWriter, r *http.Request) {
	name, valid := tenantOf(r.PathValue("tenant"))
	if !valid {
		refuse(w, http.StatusNotFound, "no such tenant")
		return
	}
	dump(w, r, func(line func(any) error) error {
		tenant := a.Records.Known(name)
		if tenant == nil {
			return nil
		}
		for stored := range tenant.All() {
			if err := line(stored); err != nil {
				return err
			}
		}
		return nil
	})
}

func (a *API) setTenantToken(w http.ResponseWriter, r *http.Request) {
	name, valid := tenantOf(r.PathValue("tenant"))
	if !valid {
		refuse(w, http.StatusNotFound, "no such tenant")
		return
	}
	var request struct {
		Token string `json:"token"` // "": no token is required
	}
	if !decode(w, r, &request) {
		return
	}
	tenant := a.Records.Tenant(name)
	if tenant == nil {
		refuse(w, http.StatusUnprocessableEntity, "there are too many tenants")
		return
	}
	tenant.SetToken(request.Token)
	w.WriteHeader(http.StatusNoContent)
}
