package crm

import (
	"crypto/subtle"
	"encoding/json"
	"errors"
	"net/http"

	"rollcall.dev/services/sandbox/internal/answer"
	"rollcall.dev/services/sandbox/internal/faults"
	"rollcall.dev/services/sandbox/internal/traffic"
	"rollcall.dev/services/sandbox/internal/vomo"
)

// BrokenBody is the body of an answer that a fault cuts short.
const BrokenBody = `{"id":"crm-`

const maxBatch = 1_000

// API is the CRM's HTTP API, which follows the REST contract.
type API struct {
	Store  *Store
	Ledger *traffic.Ledger
	Gate   *faults.Gate
}

// Routes adds the CRM's endpoints below /crm.
func (a *API) Routes(mux *http.ServeMux) {
	for _, base := range []string{"/crm", "/crm/{tenant}"} {
		mux.HandleFunc("PUT "+base+"/users/{external_id}", a.forTenant(a.put))
		mux.HandleFunc("DELETE "+base+"/users/{external_id}", a.forTenant(a.remove))
		mux.HandleFunc("POST "+base+"/users:batchUpsert", a.forTenant(a.batch))
	}
}

// Refuse writes an error of the CRM. An empty code stands for the usual code of the status.
func Refuse(w http.ResponseWriter, status int, code string) {
	answer.JSON(w, status, refusal(status, code))
}

func refusal(status int, code string) *Refusal {
	usual := map[int]string{
		http.StatusBadRequest: "bad_request", http.StatusUnauthorized: "unauthorized", http.StatusForbidden: "forbidden",
		http.StatusNotFound: "not_found", http.StatusConflict: "conflict", http.StatusUnprocessableEntity: "invalid",
		http.StatusTooManyRequests: "rate_limited", http.StatusRequestEntityTooLarge: "too_large",
	}
	switch {
	case code != "":
	case usual[status] != "":
		code = usual[status]
	default:
		code = "unavailable"
	}
	text := http.StatusText(status)
	if text == "" {
		text = "Refused"
	}
	return &Refusal{Status: status, Code: code, Message: text}
}

type endpoint func(w *traffic.Recorder, r *http.Request, tenant *Tenant)

// forTenant counts a request, applies the faults, and checks the tenant's token.
func (a *API) forTenant(next endpoint) http.HandlerFunc {
	return func(plain http.ResponseWriter, r *http.Request) {
		name := r.PathValue("tenant")
		if name == "" {
			name = DefaultTenant
		}
		if name != DefaultTenant && !vomo.ValidName(name) {
			Refuse(plain, http.StatusNotFound, "unknown_tenant")
			return
		}
		a.Ledger.Arrive(name)
		w := traffic.Record(plain, func(outcome string) {
			a.Ledger.Answered(name, outcome)
			if outcome != traffic.Status(http.StatusOK) && outcome != traffic.Status(http.StatusCreated) {
				a.Ledger.Refuse(name)
			}
		})
		if !a.Gate.Pass(w, r, faults.Request{Name: name, Record: r.PathValue("external_id")}) {
			return
		}
		tenant := a.Store.Tenant(name)
		if tenant == nil {
			Refuse(w, http.StatusUnprocessableEntity, "too_many_tenants")
			return
		}
		if wanted := tenant.Token(); wanted != "" &&
			subtle.ConstantTimeCompare([]byte(r.Header.Get("Authorization")), []byte("Bearer "+wanted)) != 1 {
			Refuse(w, http.StatusUnauthorized, "")
			return
		}
		next(w, r, tenant)
	}
}

func (a *API) put(w *traffic.Recorder, r *http.Request, tenant *Tenant) {
	body, ok := read(w, r)
	if !ok {
		return
	}
	record, err := parse(body)
	if err == nil && record.ExternalID != r.PathValue("external_id") {
		err = invalid("field external_id is not the one of the path")
	}
	var id string
	created := false
	if err == nil {
		id, created, err = tenant.put(record)
	}
	if err != nil {
		why := refused(err)
		answer.JSON(w, why.Status, why)
		return
	}
	status := http.StatusOK
	if created {
		status = http.StatusCreated
	}
	answer.JSON(w, status, map[string]string{"id": id})
}

func (a *API) remove(w *traffic.Recorder, r *http.Request, tenant *Tenant) {
	if !tenant.remove(r.PathValue("external_id")) {
		Refuse(w, http.StatusNotFound, "")
		return
	}
	answer.JSON(w, http.StatusOK, map[string]bool{"deleted": true})
}

// result is the answer for one record of a batch.
type result struct {
	ID    string   `json:"id,omitempty"`
	Error *Refusal `json:"error,omitempty"`
}

func (a *API) batch(w *traffic.Recorder, r *http.Request, tenant *Tenant) {
	body, ok := read(w, r)
	if !ok {
		return
	}
	var request struct {
		Users []json.RawMessage `json:"users"`
	}
	if err := json.Unmarshal(body, &request); err != nil {
		Refuse(w, http.StatusBadRequest, "bad_json")
		return
	}
	if len(request.Users) > maxBatch {
		Refuse(w, http.StatusUnprocessableEntity, "too_many_users")
		return
	}
	results := make([]result, 0, len(request.Users))
	for _, user := range request.Users {
		id, err := a.putOne(w, r, tenant, user)
		if err != nil {
			a.Ledger.Refuse(tenant.name)
			results = append(results, result{Error: refused(err)})
			continue
		}
		results = append(results, result{ID: id})
	}
	for _, bend := range a.Gate.Bends(tenant.name) {
		results = tooMany(results, bend.By)
	}
	answer.JSON(w, http.StatusOK, map[string]any{"results": results})
}

// tooMany adds so many results, or removes them if the number is negative.
func tooMany(results []result, by int) []result {
	for range by {
		results = append(results, result{ID: "crm-0000000000000000"})
	}
	return results[:max(0, len(results)+min(by, 0))]
}

func (a *API) putOne(w *traffic.Recorder, r *http.Request, tenant *Tenant, user []byte) (string, error) {
	record, err := parse(user)
	if err != nil {
		return "", err
	}
	if status, code, isRefused := a.Gate.Record(w, r, tenant.name, record.ExternalID); isRefused {
		return "", refusal(status, code)
	}
	id, _, err := tenant.put(record)
	return id, err
}

func read(w http.ResponseWriter, r *http.Request) ([]byte, bool) {
	body, err := answer.Body(w, r)
	switch {
	case errors.Is(err, answer.ErrTooLarge):
		Refuse(w, http.StatusRequestEntityTooLarge, "")
	case err != nil:
		Refuse(w, http.StatusBadRequest, "bad_json")
	}
	return body, err == nil
}

// refused returns the Refusal in an error. Each error of this package is one.
func refused(err error) *Refusal {
	if why, isRefusal := errors.AsType[*Refusal](err); isRefusal {
		return why
	}
	return refusal(http.StatusInternalServerError, "")
}
