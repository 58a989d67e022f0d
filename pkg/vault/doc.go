// Package vault seals what must not be at rest in the clear: credentials, payloads, tokens on their way in.
//
// It owns three layers. The keeper (SECRETS_URL) seals keys and nothing else. Each customer has a data key,
// sealed by the keeper, that seals what belongs to the customer: destroying that one row is the deletion of
// all of it. The installation has a data key for what belongs to nobody, and a curve key pair to which tokens
// are sealed before they travel. It promises that what was sealed for one customer and purpose opens for no
// other, that a key is made once however many processes ask for it, and that no error carries a secret. It
// does not decide what is a secret, and keeps no key in memory longer than a call needs it.
package vault
