// Package telemetry traces what rollcall does, from a message to the writes that it leads to.
//
// It owns the names of spans and their attributes, and how a trace passes from one service to the next: in the header
// traceparent of messages, and in the columns of rows that are worked later. It promises that no attribute holds a secret or a
// person's data, that a customer's id is in one only if METRICS_CUSTOMER_LABEL is on, and that a trace that is not
// sampled costs next to nothing. Only the beginnings of traces need a *Tracing, which comes in the Service: what happens inside a
// span starts its own with Start, from the context. The package sends nothing: package otlp does.
package telemetry
