package destination_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/destination"
)

func TestRecordHasFieldsOfParticipationsOnlyIfItHasParticipations(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, time.February, 19, 10, 15, 0, 0, time.UTC)
	record := destination.Record{ExternalID: "vomo-1", SourceUpdatedAt: at}
	encoded, err := json.Marshal(record)
	require.NoError(t, err)
	require.Equal(t, "sent: "+`{"external_id":"vomo-1","email":null,"first_name":null,"last_name":null,"phone":null,`+
		`"custom_fields":{"user_status":null,"membership_role":null,"vomo_created_at":null},"source_updated_at":"2026-02-19T10:15:00Z"}`,
		"sent: "+string(encoded), "each byte")

	record.CustomFields.Participations = &destination.Participations{Count: 2, Hours: 7.5, LastAt: &at}
	encoded, err = json.Marshal(record.CustomFields)
	require.NoError(t, err)
	require.Equal(t, `{"user_status":null,"membership_role":null,"vomo_created_at":null,`+
		`"participations_count":2,"hours_total":7.5,"last_participation_at":"2026-02-19T10:15:00Z"}`, string(encoded))

	record.CustomFields.Participations = &destination.Participations{}
	encoded, err = json.Marshal(record.CustomFields)
	require.NoError(t, err)
	require.Contains(t, string(encoded), `"participations_count":0,"hours_total":0,"last_participation_at":null`)
}
