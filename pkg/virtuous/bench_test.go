package virtuous

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// BenchmarkDelivery measures what a delivery of 100 gifts costs at the receiver (split) and at its application (records).
func BenchmarkDelivery(b *testing.B) {
	gift := `{"gift":` + string(payloadAt(b, "webhooks/observed_gift_create_bulk.json", "models.0.gift")) + `}`
	body := []byte(`{"event":"GiftCreate","models":[` + strings.Repeat(gift+",", 99) + gift + `]}`)
	b.Run("split", func(b *testing.B) {
		b.SetBytes(int64(len(body)))
		b.ReportAllocs()
		for b.Loop() {
			delivery, err := ParseDelivery(body)
			require.NoError(b, err)
			require.Len(b, delivery.Split(128<<10), 2)
		}
	})
	b.Run("records", func(b *testing.B) {
		b.SetBytes(int64(len(body)))
		b.ReportAllocs()
		delivery, err := ParseDelivery(body)
		require.NoError(b, err)
		for b.Loop() {
			require.Len(b, delivery.Records(), 100)
		}
	})
	b.Run("fields", func(b *testing.B) {
		record, err := ParseGift(payloadAt(b, "webhooks/observed_gift_create_bulk.json", "models.0.gift"))
		require.NoError(b, err)
		b.ReportAllocs()
		for b.Loop() {
			require.Len(b, record.Fields(), 16)
		}
	})
}
