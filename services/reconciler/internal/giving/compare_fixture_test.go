package giving

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/giving"
	"rollcall.dev/pkg/giving/inbound"
	"rollcall.dev/pkg/giving/resolution"
	"rollcall.dev/pkg/virtuous"
)

// pairs is the reconciler before the sandbox's Virtuous, with contacts that both sides have.
type pairs struct{ *sandbox }

func newPairs(t *testing.T, rules resolution.Rules) *pairs {
	t.Helper()
	p := &pairs{newSandbox(t, `{"webhooks":{"manual":true}}`)}
	p.rules(rules)
	return p
}

// rules sets the customer's rules.
func (p *pairs) rules(rules resolution.Rules) {
	p.t.Helper()
	encoded, err := rules.Encode()
	require.NoError(p.t, err)
	p.exec(p.t, `UPDATE virtuous_configs SET resolution = $1`, encoded)
}

// person is what both sides have of a contact at first.
func person(reference string) giving.PartnerContact {
	return giving.PartnerContact{
		CustomerID: "acme", ReferenceID: reference, ContactType: "Household", FirstName: "Ana", LastName: "Ruiz " + reference,
		Email: reference + "@example.org", Phone: "555-010-0123",
		Address: giving.Address{Address1: "9 Elm St", City: "Mesa", State: "AZ", Postal: "85201", Country: "US"},
	}
}

// other is a version in which each field differs.
func other(reference string) giving.PartnerContact {
	changed := person(reference)
	changed.FirstName, changed.Email, changed.Phone = "Anna", "new."+changed.Email, "555-010-0199"
	changed.Address.Address1, changed.Address.City = "1 Oak Ave", "Tempe"
	return changed
}

// add has both sides have a contact, which is the same on both of them, and was confirmed by its transaction.
func (p *pairs) add(reference string) (virtuousID int64) {
	p.t.Helper()
	one := person(reference)
	body, err := json.Marshal(map[string]any{
		"source": "AcmeGive", "referenceId": reference, "firstName": one.FirstName, "lastName": one.LastName, "email": one.Email, "phone": one.Phone,
		"address1": one.Address.Address1, "city": one.Address.City, "state": one.Address.State, "postal": one.Address.Postal, "country": one.Address.Country,
		"tags": "board,gala",
	})
	require.NoError(p.t, err)
	var answer struct {
		Contacts []struct {
			ID int64 `json:"id"`
		} `json:"contacts"`
	}
	require.NoError(p.t, json.Unmarshal(p.control(http.MethodPost, "/contacts", string(body)), &answer))
	virtuousID = answer.Contacts[0].ID
	sealed, hash := p.sealed(one)
	p.exec(p.t, `INSERT INTO virtuous_contact_queue (customer_id, reference_source, reference_id, status, transaction_source, partner_sealed, partner_published_at,
		body_sealed, content_hash, sent_hash, submitted_at, confirmed_at, virtuous_contact_id, created_at, status_at, updated_at)
		SELECT 'acme', 'acmegive', $1, 'confirmed', 'AcmeGive', $2, c.at, '\x00', $3, $3, c.at, c.at, $4, c.at, c.at, c.at
		FROM test_clock c`, reference, sealed, hash, virtuousID)
	p.applyRead(virtuousID)
	p.exec(p.t, `UPDATE virtuous_contact_queue SET compare_wanted_at = NULL WHERE reference_id = $1`, reference)
	return virtuousID
}

func (p *pairs) sealed(version giving.PartnerContact) (sealed, hash []byte) {
	p.t.Helper()
	canonical, err := version.Encode()
	require.NoError(p.t, err)
	sealed, err = p.vault.Seal(p.t.Context(), "acme", giving.PurposePartnerContact, canonical)
	require.NoError(p.t, err)
	return sealed, giving.ContactHash([]byte("key"), canonical)
}

// publish has the platform publish a version, as the service donations stores it. at is zero if the version does not say when it is of.
func (p *pairs) publish(version giving.PartnerContact, at time.Time) {
	p.t.Helper()
	sealed, hash := p.sealed(version)
	var modified *time.Time
	if !at.IsZero() {
		modified = &at
	}
	p.exec(p.t, `UPDATE virtuous_contact_queue SET partner_sealed = $2, content_hash = $3, partner_modified_at = $4, compare_wanted_at = rollcall_now()
		WHERE reference_id = $1`, version.ReferenceID, sealed, hash, modified)
}

// hold has the platform's version stored, as if it had been lost on its way to a comparison.
func (p *pairs) hold(version giving.PartnerContact, at time.Time) {
	p.t.Helper()
	p.publish(version, at)
	p.exec(p.t, `UPDATE virtuous_contact_queue SET compare_wanted_at = NULL, sent_hash = content_hash WHERE reference_id = $1`, version.ReferenceID)
}

// edit has staff change a contact in Virtuous, whose webhook is lost.
func (p *pairs) edit(id int64, fields map[string]any) {
	p.t.Helper()
	body, err := json.Marshal(fields)
	require.NoError(p.t, err)
	p.control(http.MethodPut, fmt.Sprintf("/contacts/%d", id), string(body))
}

// applyRead applies the contact as Virtuous has it, as a webhook does.
func (p *pairs) applyRead(id int64) {
	p.t.Helper()
	found := p.contact(id)
	now, err := p.store.Now(p.t.Context())
	require.NoError(p.t, err)
	_, err = p.reconciler.Inbound.ApplyAll(p.t.Context(), inbound.Pass{Customer: "acme", Job: "webhook"}, []inbound.Record{{Contact: &found, At: now, Read: true}})
	require.NoError(p.t, err)
}

// contact reads a contact as Virtuous has it.
func (p *pairs) contact(id int64) virtuous.Contact {
	p.t.Helper()
	request, err := http.NewRequestWithContext(p.t.Context(), http.MethodGet, fmt.Sprintf("%s/virtuous/api/Contact/%d", p.address, id), nil)
	require.NoError(p.t, err)
	request.Header.Set("Authorization", "Bearer acme")
	response, err := http.DefaultClient.Do(request)
	require.NoError(p.t, err)
	body, err := io.ReadAll(response.Body)
	require.NoError(p.t, errors.Join(err, response.Body.Close()))
	require.Equal(p.t, http.StatusOK, response.StatusCode)
	found, err := virtuous.ParseContact(body)
	require.NoError(p.t, err)
	return found
}

// work gives the customer rounds until nothing waits to be compared.
func (p *pairs) work() {
	p.t.Helper()
	customers, err := p.reconciler.look(p.t.Context())
	require.NoError(p.t, err)
	if len(customers) > 0 {
		p.reconcile(p.t, "acme")
	}
}

// states returns the open differences of a contact, and the state of Virtuous' contact.
func (p *pairs) states(reference string) (fields map[string]string, state string) {
	p.t.Helper()
	fields = map[string]string{}
	for _, one := range column[[]string](p.t, p.fixture, `SELECT ARRAY[d.field, concat_ws(' ', d.state, d.reason)] FROM contact_differences d
		JOIN virtuous_contact_queue q ON q.id = d.contact_id WHERE q.reference_id = $1 AND d.state <> 'settled'`, reference) {
		fields[one[0]] = one[1]
	}
	found := column[string](p.t, p.fixture, `SELECT c.sync_state FROM partner_contacts c JOIN virtuous_contact_queue q USING (virtuous_contact_id)
		WHERE q.reference_id = $1`, reference)
	require.Len(p.t, found, 1)
	return fields, found[0]
}

// published returns the fields and states of the events about contacts since the last call.
func (p *pairs) published() (fields []string) {
	p.t.Helper()
	for _, payload := range column[string](p.t, p.fixture, `SELECT convert_from(payload, 'UTF8') FROM outbox
		WHERE subject LIKE 'rollcall.events.contact.differs.%' ORDER BY id`) {
		var data struct {
			ReferenceID string `json:"referenceId"`
			Differences []struct{ Field, State, Reason string }
		}
		require.NoError(p.t, json.Unmarshal([]byte(payload), &data))
		for _, one := range data.Differences {
			fields = append(fields, data.ReferenceID+" "+one.Field+" "+one.State)
		}
	}
	p.exec(p.t, `DELETE FROM outbox`)
	slices.Sort(fields)
	return fields
}

// all returns each field with the same text.
func all(text string) map[string]string {
	fields := map[string]string{}
	for _, field := range resolution.Fields() {
		fields[field] = text
	}
	return fields
}
