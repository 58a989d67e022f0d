package main

import (
	"testing"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/service"
	"rollcall.dev/pkg/store"
	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

func TestOnboardingSetsWhatIsWrittenBack(t *testing.T) {
	t.Parallel()
	request := &rollcallv1.OnboardingRequest{
		CustomerId: "acme", Destination: &rollcallv1.Destination{Kind: "rest", Url: "https://crm.example"},
		WriteBack: &rollcallv1.WriteBack{Fields: []string{"phone", "lastName"}, Create: true},
	}
	wanted, err := customerOf("acme", request)
	require.NoError(t, err)
	require.JSONEq(t, `{"fields":["phone","lastName"],"create":true}`, string(wanted.WriteBack))

	other := wanted
	other.WriteBack = []byte(`{"create": true, "fields": ["lastName", "phone"]}`)
	require.True(t, isSameWriteBack(wanted, other), "the same request twice is one onboarding")
	request.WriteBack = nil
	without, err := customerOf("acme", request)
	require.NoError(t, err)
	require.Nil(t, without.WriteBack)
	require.False(t, isSameWriteBack(wanted, without))
}

func TestConfigSetChangesWhatIsWrittenBack(t *testing.T) {
	t.Parallel()
	f := newOperatorFixture(t)
	done, err := f.setConfig(t.Context(), operatorapi.ConfigChange{CustomerID: "acme", WriteBack: &operatorapi.WriteBack{Fields: []string{"phone"}}})
	require.NoError(t, err)
	require.Equal(t, &operatorapi.WriteBack{Fields: []string{"phone"}}, done.Config.WriteBack)
	require.Equal(t, []string{"writeBack"}, fieldsOf(done.Changes))
	known, err := f.intakeFixture.store.Customer(t.Context(), "acme")
	require.NoError(t, err)
	settings, err := known.WritesBack()
	require.NoError(t, err)
	require.Equal(t, store.WriteBack{Fields: []string{"phone"}}, settings)

	_, err = f.setConfig(t.Context(), operatorapi.ConfigChange{CustomerID: "acme", PollCadenceMinutes: new(int32(15))})
	require.NoError(t, err)
	done, err = f.setConfig(t.Context(), operatorapi.ConfigChange{CustomerID: "acme", Unset: []string{operatorapi.FieldWriteBack}})
	require.NoError(t, err)
	require.Nil(t, done.Config.WriteBack)
}

func TestFieldThatCannotBeWrittenBackIsNamedWithItsRemedy(t *testing.T) {
	t.Parallel()
	f := newOperatorFixture(t)
	for field, remedy := range map[string]string{
		"email": "leave it out", "fone": "name some of firstName, lastName, phone, birthday, gender", "t0ken": "this version does not know",
	} {
		_, err := f.setConfig(t.Context(), operatorapi.ConfigChange{CustomerID: "acme", WriteBack: &operatorapi.WriteBack{Fields: []string{field}}})
		var wrong *service.FieldsError
		require.ErrorAs(t, err, &wrong, field)
		require.Contains(t, wrong.Errors["writeBack.fields"][0], remedy)
	}
	_, err := f.setConfig(t.Context(), operatorapi.ConfigChange{CustomerID: "acme", WriteBack: &operatorapi.WriteBack{Create: true}})
	var wrong *service.FieldsError
	require.ErrorAs(t, err, &wrong)
}

func TestOffboardingDeletesWriteBacksAndReviewItems(t *testing.T) {
	t.Parallel()
	f := newOffboardFixture(t)
	for _, statement := range []string{
		`INSERT INTO writebacks (customer_id, external_user_id, state, values_sealed, stamps, requested_at, updated_at)
			SELECT c, 'crm-' || n, 'waiting', '\x01', '{}', at, now() FROM now() at, generate_series(1, 5) n, unnest('{acme,globex}'::text[]) c`,
		`INSERT INTO writeback_holds SELECT c, 'vomo_unavailable', NULL, 1, at, now(), at FROM now() at, unnest('{acme,globex}'::text[]) c`,
		`INSERT INTO review_items (customer_id, kind, source_id, reason, details_sealed, decisions, state, created_at)
			SELECT c, 'user', n, 'email_mismatch', '\x01', '{dismiss}', 'open', now() FROM generate_series(1, 5) n, unnest('{acme,globex}'::text[]) c`,
	} {
		f.sql(t, statement)
	}
	f.offboard(t, 2)
	f.work(t)
	for table, left := range map[string]int{"writebacks": 5, "writeback_holds": 1, "review_items": 5} {
		require.Zero(t, f.count(t, `SELECT count(*) FROM `+table+` WHERE customer_id = 'acme'`), table)
		require.Equal(t, left, f.count(t, `SELECT count(*) FROM `+table+` WHERE customer_id = 'globex'`), table)
	}
}
