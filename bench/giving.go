package main

import "fmt"

// Names of the rows of giving.
const (
	nameDeliveries = "deliveries"
	nameInbound    = "inbound"
	nameCapture    = "capture"
	nameErase      = "erase"
)

// givingRows are the rows of `make bench/giving`.
func givingRows(of sizes) []row {
	return []row{
		{
			name: nameErase, about: fmt.Sprintf("the limit program erases %d messages, and does nothing else with them: this bounds each capture", of.records),
			product: eraseAlone,
		},
		{
			name: nameDeliveries, about: fmt.Sprintf("%d webhook deliveries of one gift, from %d senders", of.records, givingSenders), bound: 0.7,
			product: receiveByProduct, limit: receiveByLimit,
		},
		{
			name: nameInbound, about: fmt.Sprintf("%d gifts applied from deliveries of %d, until the event about each is published", of.records, giftsInDelivery),
			bound: 0.5, product: applyByProduct, limit: applyByLimit,
		},
		{
			name: nameCapture, about: fmt.Sprintf("%d donations captured, until the last message is erased", of.records), bound: 0.5,
			product: captureByProduct, limit: captureByLimit,
		},
	}
}
