package service

import (
	"net/http"
	"net/http/pprof" // its handlers on the default mux are not served
)

// serveProfiles serves Go's profiles at the paths that `go tool pprof` uses. A heap profile contains no user's data,
// but taking one costs time, so the setting is off by default.
func serveProfiles(mux *http.ServeMux) {
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
}
