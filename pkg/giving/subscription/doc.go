// Package subscription creates, verifies, rotates and removes a customer's webhook subscription at Virtuous.
//
// Virtuous cannot list its subscriptions. The package therefore stores what it is about to request, and the secret, before the request is
// sent: deliveries are accepted from the first on, and a subscription whose answer was lost is known as an orphan. An orphan is signed with
// the customer's secret, and its deliveries are duplicates, which change nothing.
//
// A customer has one subscription that is requested or active. During a rotation both secrets are valid: until Virtuous has said that it has
// the new one, and for a day after that.
package subscription
