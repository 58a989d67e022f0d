package control

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"

	"rollcall.dev/services/sandbox/internal/answer"
	"rollcall.dev/services/sandbox/internal/crm"
	"rollcall.dev/services/sandbox/internal/vomo"
)

const namedDifferences = 100

// comparison is the result of comparing users with records.
type comparison struct {
	Source      int          `json:"source"`      // users of the organisation
	Destination int          `json:"destination"` // records of the tenant that are not deleted
	Same        int          `json:"same"`
	Missing     int          `json:"missing"`     // users without a record
	Extra       int          `json:"extra"`       // records without a user
	Different   int          `json:"different"`   // users whose record differs
	Differences []difference `json:"differences"` // the first 100 of the different ones
	MissingIDs  []string     `json:"missingIds"`  // external ids, the first 100
	ExtraIDs    []string     `json:"extraIds"`
}

type difference struct {
	ExternalID string   `json:"externalId"`
	Fields     []string `json:"fields"` // names, never values
}

func (a *API) compare(w http.ResponseWriter, r *http.Request) {
	name, valid := tenantOf(r.URL.Query().Get("tenant"))
	if !valid {
		refuse(w, http.StatusNotFound, "no such tenant")
		return
	}
	source := a.named(w, r.URL.Query().Get("org"))
	if source == nil {
		return
	}
	tenant := a.Records.Known(name)
	if tenant == nil {
		tenant = crm.NewStore().Tenant(name) // no request was sent to it yet
	}
	answer.JSON(w, http.StatusOK, compared(source, tenant))
}

func compared(source *vomo.Organisation, tenant *crm.Tenant) comparison {
	c := comparison{Differences: []difference{}, MissingIDs: []string{}, ExtraIDs: []string{}}
	for user := range source.All() {
		c.Source++
		externalID := "vomo-" + strconv.FormatInt(user.ID, 10)
		record, found := tenant.Find(externalID)
		if !found {
			c.Missing++
			c.MissingIDs = appendFew(c.MissingIDs, externalID)
			continue
		}
		fields := differing(user, record)
		if len(fields) == 0 {
			c.Same++
			continue
		}
		c.Different++
		c.Differences = appendFew(c.Differences, difference{ExternalID: externalID, Fields: fields})
	}
	for record := range tenant.All() {
		if record.Deleted {
			continue
		}
		c.Destination++
		if !has(source, record.ExternalID) {
			c.Extra++
			c.ExtraIDs = appendFew(c.ExtraIDs, record.ExternalID)
		}
	}
	return c
}

func has(source *vomo.Organisation, externalID string) bool {
	text, isUser := strings.CutPrefix(externalID, "vomo-")
	id, err := strconv.ParseInt(text, 10, 64)
	if !isUser || err != nil || strconv.FormatInt(id, 10) != text {
		return false
	}
	_, found := source.Find(id)
	return found
}

// differing returns the names of the fields in which a record differs from the user.
func differing(user vomo.Person, record crm.Stored) []string {
	var custom struct {
		UserStatus     *string    `json:"user_status"`
		MembershipRole *string    `json:"membership_role"`
		VOMOCreatedAt  *time.Time `json:"vomo_created_at"`
	}
	fields := []string{}
	if len(record.CustomFields) > 0 && json.Unmarshal(record.CustomFields, &custom) != nil {
		fields = append(fields, "custom_fields")
	}
	for _, field := range []struct {
		name string
		same bool
	}{
		{"email", sameText(user.Email, record.Email)},
		{"first_name", sameText(&user.FirstName, record.FirstName)},
		{"last_name", sameText(&user.LastName, record.LastName)},
		{"phone", sameText(user.Phone, record.Phone)},
		{"custom_fields.user_status", sameText(user.UserStatus, custom.UserStatus)},
		{"custom_fields.membership_role", sameText(&user.MembershipRole, custom.MembershipRole)},
		{"custom_fields.vomo_created_at", custom.VOMOCreatedAt != nil && custom.VOMOCreatedAt.Equal(user.Created)},
		{"source_updated_at", record.SourceUpdatedAt.Equal(user.Updated)},
	} {
		if !field.same {
			fields = append(fields, field.name)
		}
	}
	return fields
}

func sameText(a, b *string) bool {
	return a == nil && b == nil || a != nil && b != nil && *a == *b
}

func appendFew[T any](list []T, item T) []T {
	if len(list) < namedDifferences {
		list = append(list, item)
	}
	return list
}
