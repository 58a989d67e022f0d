package main

import (
	"github.com/prometheus/client_golang/prometheus"

	"rollcall.dev/pkg/store"
)

// metrics count without the customers' names, because there may be thousands of them. A nil *metrics counts nothing.
type metrics struct {
	messages  *prometheus.CounterVec
	donations *prometheus.CounterVec
	contacts  *prometheus.CounterVec
	sent      *prometheus.CounterVec
	projects  *prometheus.CounterVec
	holds     *prometheus.CounterVec
}

func newMetrics(registry prometheus.Registerer) *metrics {
	m := &metrics{
		messages: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "rollcall_donation_messages_total",
			Help: "Messages handled, by outcome: captured, repeated, replaced, rejected, differs, letter, discarded.",
		}, []string{"outcome"}),
		donations: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "rollcall_donation_attempts_total",
			Help: "Attempts to submit a donation, by what Virtuous answered: accepted, repeated, found, refused, unclear, throttled, unauthorized, " +
				"forbidden, unsent, not_looked_up, panicked; fell_back: its request with several was rejected; unreadable: its key was destroyed.",
		}, []string{"outcome"}),
		contacts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "rollcall_contact_messages_total",
			Help: "Messages with contacts handled, by outcome: captured, repeated, replaced, known, obsolete, rejected; " +
				"of messages that the platform applied something: applied, nothing_waited, rejected.",
		}, []string{"outcome"}),
		sent: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "rollcall_contact_attempts_total",
			Help: "Attempts to submit a contact, by what Virtuous answered, as in rollcall_donation_attempts_total.",
		}, []string{"outcome"}),
		projects: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "rollcall_donation_projects_total",
			Help: "Donations with a project that is unknown or inactive, or that could not be checked, by what became of them: rejected, failed, postponed, warned.",
		}, []string{"outcome"}),
		holds: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "rollcall_donation_holds_total", Help: "Rounds of a customer that ended early, by reason.",
		}, []string{"reason"}),
	}
	registry.MustRegister(m.messages, m.donations, m.contacts, m.sent, m.projects, m.holds)
	return m
}

func (m *metrics) message(outcome string) {
	if m != nil {
		m.messages.WithLabelValues(outcome).Inc()
	}
}

func (m *metrics) contactMessage(outcome string) {
	if m != nil {
		m.contacts.WithLabelValues(outcome).Inc()
	}
}

func (m *metrics) attempted(kind store.TransactionKind, outcome string) {
	switch {
	case m == nil:
	case kind == store.ContactTransaction:
		m.sent.WithLabelValues(outcome).Inc()
	default:
		m.donations.WithLabelValues(outcome).Inc()
	}
}

func (m *metrics) project(outcome string) {
	if m != nil {
		m.projects.WithLabelValues(outcome).Inc()
	}
}

func (m *metrics) held(reason string) {
	if m != nil && reason != "" {
		m.holds.WithLabelValues(reason).Inc()
	}
}
