package main

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// addressed is a delivery or a donation of a customer.
type addressed struct {
	customer  string
	body      []byte
	signature string
}

// gift is a gift as Virtuous delivers it, with the fields that deliveries were observed to have.
const gift = `{"gift":{"id":%[1]d,"transactionSource":null,"transactionId":null,"contactId":5120,"contactName":"Ruiz, Ana","contactUrl":"/api/Contact/5120",` +
	`"giftType":"Cash","giftTypeFormatted":"Cash","giftDate":"2026-02-19T00:00:00","giftDateFormatted":"2/19/2026","amount":1000.0,` +
	`"amountFormatted":"$1,000.00","currencyCode":"USD","exchangeRate":1.0,"baseCurrencyCode":"USD","batch":null,` +
	`"createDateTimeUtc":"2026-02-20T07:03:11.017","createdByUser":"Pat Office","modifiedDateTimeUtc":"2026-02-20T07:03:12","modifiedByUser":"API",` +
	`"segmentId":null,"segment":null,"segmentCode":null,"segmentUrl":null,"mediaOutletId":null,"mediaOutlet":null,"grantId":null,"grant":null,` +
	`"grantUrl":null,"notes":"","tribute":null,"tributeId":null,"tributeType":null,"acknowledgeeIndividualId":null,"isAcknowledgedGift":false,` +
	`"acknowledgementDate":null,"acknowledgementNotes":"","receiptDate":null,"receiptDateFormatted":"","contactPassthroughId":null,` +
	`"contactPassthroughUrl":null,"contactIndividualId":7001,"cashAccountingCode":null,"giftAskId":null,"contactMembershipId":null,` +
	`"giftDesignations":[{"id":%[1]d,"projectId":9,"project":"Clean Water","projectCode":"CLEAN-WATER","externalAccountingCode":null,` +
	`"projectType":"Unspecified","projectLocation":"Unspecified","projectUrl":"/api/Project/9","amountDesignated":1000.0,` +
	`"display":"Clean Water: $1,000.00"}],"giftPremiums":[],"pledgePayments":[],"recurringGiftPayments":[],"giftUrl":"/api/Gift/%[1]d",` +
	`"isPrivate":false,"isTaxDeductible":true,"customFields":{"Receipt Status":"","UTM Campaign":"spring-2026"}}}`

// deliveries returns signed deliveries of some gifts each, for all customers in turn. from is how many gifts were delivered before.
func deliveries(from, count, gifts int) []addressed {
	all := make([]addressed, 0, count)
	id := 100_000 + from
	for number := range count {
		models := make([]string, 0, gifts)
		for range gifts {
			models = append(models, fmt.Sprintf(gift, id))
			id++
		}
		body := []byte(`{"event":"GiftCreate","models":[` + strings.Join(models, ",") + `]}`)
		mac := hmac.New(sha256.New, []byte(givingSecret))
		mac.Write(body)
		all = append(all, addressed{customer: givingCustomer(number), body: body, signature: hex.EncodeToString(mac.Sum(nil))})
	}
	return all
}

// donations returns donations of all customers in turn.
func donations(count int) []addressed {
	all := make([]addressed, 0, count)
	for number := range count {
		customer := givingCustomer(number)
		all = append(all, addressed{customer: customer, body: fmt.Appendf(nil,
			`{"customerId":%[1]q,"platformDonationId":"don-%[2]d","amount":"125.00","currencyCode":"USD","giftDate":"2026-11-20","giftType":"Credit",`+
				`"contact":{"referenceId":"donor-%[2]d","type":"Household","firstName":"Ana","lastName":"Ruiz","email":"ana.ruiz.%[2]d@example.org",`+
				`"address":{"address1":"9 Elm Row","city":"Mesa","state":"AZ","postal":"85201","country":"US"}},`+
				`"designations":[{"code":"CLEAN-WATER","amountDesignated":"125.00"}],"platformReference":"ch_%[2]d"}`, customer, number)})
	}
	return all
}

// send sends deliveries, givingSenders at once, over kept connections, and returns the 99th percentile of the answers' times in milliseconds. Each
// must be answered 200.
func send(ctx context.Context, target string, all []addressed) (p99 float64, err error) {
	transport := &http.Transport{MaxIdleConnsPerHost: givingSenders, MaxIdleConns: givingSenders, DisableCompression: true}
	defer transport.CloseIdleConnections()
	took := make([]time.Duration, len(all))
	var next atomic.Int64
	group, sending := errgroup.WithContext(ctx)
	for range givingSenders {
		group.Go(func() error {
			for {
				at := int(next.Add(1)) - 1
				if at >= len(all) {
					return nil
				}
				began := time.Now()
				if err := deliver(sending, transport, target, all[at]); err != nil {
					return err
				}
				took[at] = time.Since(began)
			}
		})
	}
	if err := group.Wait(); err != nil {
		return 0, fmt.Errorf("send deliveries: %w", err)
	}
	slices.Sort(took)
	return float64(took[len(took)*99/100].Microseconds()) / 1000, nil
}

func deliver(ctx context.Context, over *http.Transport, target string, one addressed) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, target+one.customer, bytes.NewReader(one.body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("X-Virtuous-Signature", one.signature)
	response, err := over.RoundTrip(request)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, response.Body)
	if closing := response.Body.Close(); err == nil {
		err = closing
	}
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("a delivery is answered %s", response.Status)
	}
	return err
}

// publishAll publishes messages, many at once, as partners do.
func (i *installation) publishAll(ctx context.Context, all []addressed, subject func(customer string) string) error {
	const atOnce = 64
	group, publishing := errgroup.WithContext(ctx)
	group.SetLimit(atOnce)
	for _, one := range all {
		group.Go(func() error {
			_, err := i.stream.Publish(publishing, subject(one.customer), one.body)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return fmt.Errorf("publish: %w", err)
	}
	return nil
}
