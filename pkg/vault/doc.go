// Package vault seals what must not be stored unencrypted: credentials, payloads, and tokens in requests.
//
// There are three layers. The keeper (SECRETS_URL) seals keys only. Each customer has a data key, sealed by the
// keeper, which seals the customer's data: destroying that one row deletes all of it. The installation has a data key
// for data without a customer, and a curve key pair to which senders seal tokens. What was sealed for one customer
// and purpose opens for no other. A key is created once, however many processes need it. No error contains a secret.
// The package does not decide what is a secret, and keeps no key in memory longer than a call needs it.
package vault
