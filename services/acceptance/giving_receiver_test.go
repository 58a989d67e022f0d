package acceptance_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/testkit"
)

// senders send deliveries of one gift each, and know which ones were accepted.
type senders struct {
	client *http.Client
	target string

	mu       sync.Mutex
	next     int
	accepted []int64 // gift ids
	failed   int
}

const sendersAtOnce = 16

// run has each sender send deliveries until one of its own is not accepted, or ctx ends. heard is called for each that is accepted.
func (s *senders) run(ctx context.Context, heard func()) {
	var sending sync.WaitGroup
	for range sendersAtOnce {
		sending.Go(func() {
			for ctx.Err() == nil && s.send() {
				heard()
			}
		})
	}
	sending.Wait()
}

// send sends the next delivery and reports whether it was accepted.
func (s *senders) send() bool {
	s.mu.Lock()
	s.next++
	id := int64(s.next)
	s.mu.Unlock()
	body := fmt.Sprintf(`{"event":"GiftCreate","models":[{"gift":{"id":%d,"contactId":5120,"giftType":"Cash","giftDate":"2026-02-19T00:00:00",
		"amount":12.5,"modifiedDateTimeUtc":"2026-02-20T07:03:11.03","transactionSource":null,"transactionId":null,"giftDesignations":[]}}]}`, id)
	mac := hmac.New(sha256.New, []byte(webhookSecret))
	mac.Write([]byte(body))
	accepted := false
	// Not the test's context: a delivery that is under way comes to its end.
	request, err := http.NewRequestWithContext(context.Background(), http.MethodPost, s.target, strings.NewReader(body))
	if err == nil {
		request.Header.Set("Content-Type", "application/json")
		request.Header.Set("X-Virtuous-Signature", hex.EncodeToString(mac.Sum(nil)))
		if response, err := s.client.Do(request); err == nil {
			accepted = response.Body.Close() == nil && response.StatusCode == http.StatusOK
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if accepted {
		s.accepted = append(s.accepted, id)
	} else {
		s.failed++
	}
	return accepted
}

func TestEachAcceptedDeliveryIsInTheStreamAfterReceiverIsKilled(t *testing.T) {
	t.Parallel()
	f := newFixture(t, map[string]string{"LOG_LEVEL": "info"})
	f.onboardGiving(nil)
	address := testkit.FreeAddr(t)
	all := &senders{client: &http.Client{Timeout: soon, Transport: &http.Transport{MaxIdleConnsPerHost: sendersAtOnce}}}
	all.target = "http://" + address + "/webhooks/virtuous/acme"
	chance := rand.New(rand.NewPCG(7, 3))
	const kills = 5
	for range kills {
		receiver := f.start(programWebhooks, map[string]string{"WEBHOOK_ADDR": address})
		heard := testkit.NewSignal[string]()
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			var once sync.Once
			all.run(t.Context(), func() { once.Do(func() { heard.Send("accepted") }) })
		}()
		heard.Require(t, soon, "accepted")
		moment := time.NewTimer(time.Duration(chance.IntN(200)) * time.Millisecond)
		<-moment.C
		receiver.Kill()
		<-ended
		require.GreaterOrEqual(t, f.messages(bus.StreamWebhooks, bus.SubjectWebhooks("acme")), len(all.accepted))
	}
	t.Logf("%d deliveries accepted, %d not, %d kills", len(all.accepted), all.failed, kills)
	require.GreaterOrEqual(t, all.failed, sendersAtOnce*kills, "each kill broke off every sender")

	f.start(programDonations, f.toVirtuous())
	f.await(longest, "every delivery that was accepted is applied", func() bool {
		return f.count(`SELECT count(*) FROM partner_gifts WHERE customer_id = 'acme' AND state = 'live' AND virtuous_gift_id = ANY($1)`, all.accepted) ==
			len(all.accepted)
	})
}
