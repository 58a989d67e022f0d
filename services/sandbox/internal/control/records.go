package control

import (
	"net/http"

	"rollcall.dev/services/sandbox/internal/answer"
	"rollcall.dev/services/sandbox/internal/crm"
)

// editRecord changes fields of a record as the CRM's own people can: it is no write.
func (a *API) editRecord(w http.ResponseWriter, r *http.Request) {
	name, valid := tenantOf(r.PathValue("tenant"))
	tenant := a.Records.Known(name)
	var fields struct {
		FirstName given[string] `json:"first_name"`
		LastName  given[string] `json:"last_name"`
		Phone     given[string] `json:"phone"`
	}
	if !decode(w, r, &fields) {
		return
	}
	if !valid || tenant == nil || !tenant.Edit(r.PathValue("external_id"), func(record *crm.Record) {
		fields.FirstName.setNullable(&record.FirstName)
		fields.LastName.setNullable(&record.LastName)
		fields.Phone.setNullable(&record.Phone)
	}) {
		refuse(w, http.StatusNotFound, "no such record")
		return
	}
	stored, _ := tenant.Find(r.PathValue("external_id"))
	answer.JSON(w, http.StatusOK, stored)
}
