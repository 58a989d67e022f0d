package destination_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/destination"
)

// FuzzRecordIsEncodedAsByEncodingJSON compares the bytes: their hash is stored as a version.
func FuzzRecordIsEncodedAsByEncodingJSON(f *testing.F) {
	f.Add("vomo-1", "ada@example.org", "Ada", "plain", int64(1_700_000_000), int64(0), 12.5)
	f.Add("vomo-<&>", "a\"b\\c@example.org", "Zoë\u2028", "\x00\x1f\x7f\xff", int64(-62_135_596_800), int64(999_999_999), -0.01)
	f.Add("", "", "", "\u00e9", int64(253_402_300_799), int64(120_000_000), 1e21)
	f.Fuzz(func(t *testing.T, id, email, name, other string, seconds, nanoseconds int64, hours float64) {
		at := time.Unix(seconds, nanoseconds).UTC()
		full := destination.Record{
			ExternalID: id, Email: &email, FirstName: &name, LastName: &other, Phone: &other, SourceUpdatedAt: at,
			CustomFields: destination.CustomFields{UserStatus: &other, MembershipRole: &name, VomoCreatedAt: &at},
		}
		participated := full
		participated.CustomFields.Participations = &destination.Participations{Count: int(nanoseconds), Hours: hours, LastAt: &at}
		empty := destination.Record{ExternalID: id, SourceUpdatedAt: at}
		for _, record := range []destination.Record{full, participated, empty} {
			want, wanted := json.Marshal(record)
			got, err := record.JSON()
			require.Equal(t, wanted == nil, err == nil, "%v, %v", wanted, err)
			if wanted == nil {
				require.Equal(t, string(want), string(got))
			}
		}
	})
}

func TestFieldsThatAreLeftOutAreNotInTheJSON(t *testing.T) {
	t.Parallel()
	name := "Ada"
	record := destination.Record{ExternalID: "vomo-1", FirstName: &name, LastName: &name, Without: []string{"first_name", "phone"}}
	encoded, err := record.JSON()
	require.NoError(t, err)
	require.JSONEq(t, `{"external_id":"vomo-1","email":null,"last_name":"Ada","source_updated_at":"0001-01-01T00:00:00Z",
		"custom_fields":{"user_status":null,"membership_role":null,"vomo_created_at":null}}`, string(encoded))
}
