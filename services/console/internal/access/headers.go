package access

import (
	"net/http"
	"strings"
)

// contentPolicy lets a page use what the console itself serves, and nothing inline.
const contentPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; " +
	"form-action 'self'; base-uri 'none'; frame-ancestors "

// setHeaders sets what every answer has. framed says that other sites may show it in a frame, if the settings name some.
func (g *Guard) setHeaders(w http.ResponseWriter, framed bool) {
	header := w.Header()
	if framed && len(g.ancestors) > 0 {
		header.Set("Content-Security-Policy", contentPolicy+strings.Join(g.ancestors, " "))
		header.Del("X-Frame-Options")
	} else {
		header.Set("Content-Security-Policy", contentPolicy+"'none'")
		header.Set("X-Frame-Options", "DENY")
	}
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Referrer-Policy", "no-referrer")
	header.Set("Cross-Origin-Opener-Policy", "same-origin")
	header.Set("Cache-Control", "no-store") // what may be kept says so itself
	header.Set("Vary", "Cookie")
}
