// Package access owns who may use the console: people who signed in, API tokens, and customers' links.
//
// It promises that a principal of one customer never sees another customer's data, that a secret is stored as a hash only, and that what was
// revoked ends with the next request. It does not know pages or the HTTP API: they ask May and Sees.
package access
