package service

import (
	"net/http"
	"net/http/pprof" // what it puts on the default mux is served nowhere
)

// serveProfiles puts Go's profiles where `go tool pprof` looks for them. A heap profile holds no user's data, but
// taking one costs time: the setting is off by default.
func serveProfiles(mux *http.ServeMux) {
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
}
