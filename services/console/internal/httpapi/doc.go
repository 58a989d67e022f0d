// Package httpapi serves the HTTP API under /api/v1.
//
// It owns its routes, who may use which, and the form of answers over HTTP: pages, problems and ETags. It promises that a
// principal of one customer gets the same answer for another customer as for one that does not exist, and that the OpenAPI document is made of
// the handlers' own types. It decides nothing about a customer: it asks the services
// over NATS, so an act is validated and audited once, in the principal's name.
package httpapi
