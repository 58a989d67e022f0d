// Package check holds the tests of what is in deploy/observability: that Prometheus reads the rules, that each metric that a rule or
// a dashboard names is one that the code registers, and that each runbook's anchor exists. It is a module of its own, because
// Prometheus' parser brings many modules that no service needs. `make lint` runs it.
package check
