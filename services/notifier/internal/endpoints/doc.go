// Package endpoints sends events and alerts about customers' lifecycles to partners' endpoints.
//
// It owns which endpoint gets what, the bodies, the attempts and their delays, and the operator API rollcall.api.endpoints. It promises that each
// event is sent to each endpoint that wants it at least once and each time with the same webhook-id, that no body has personal data, and that an
// endpoint which is slow or down delays no other. It does not mail, and notifies no operator besides an alert about an endpoint.
package endpoints
