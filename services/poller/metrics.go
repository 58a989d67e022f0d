package main

import "github.com/prometheus/client_golang/prometheus"

// lateness counts due polls that were not started because the previous poll was still in progress.
type lateness struct{ coalesced prometheus.Counter }

func newLateness(registry prometheus.Registerer) lateness {
	l := lateness{coalesced: prometheus.NewCounter(prometheus.CounterOpts{
		Name: "rollcall_polls_coalesced_total", Help: "Polls that were due while the one before was still under way, and that it stands for.",
	})}
	registry.MustRegister(l.coalesced)
	return l
}

func (l lateness) skipped(polls int) { l.coalesced.Add(float64(polls)) }
