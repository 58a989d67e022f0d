package cli

import (
	"context"
	"net/http"
	"strings"

	"rollcall.dev/pkg/vomo"
)

// vomo asks VOMO for something without a token. A refusal is what it should answer; no customer's budget pays for it.
func (p *patient) vomo(ctx context.Context) []finding {
	const remedy = "Check VOMO_BASE_URL, and that this machine may go out to it: DNS, firewall, proxy, certificates."
	bounded, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	request, err := http.NewRequestWithContext(bounded, http.MethodGet, strings.TrimRight(p.settings.VomoBaseURL, "/")+"/users", nil)
	if err != nil {
		return []finding{failed("vomo", remedy, "VOMO_BASE_URL cannot be asked")}
	}
	transport := vomo.NewTransport(1)
	transport.DisableKeepAlives = true
	client := &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	response, err := client.Do(request)
	if err != nil {
		return []finding{failed("vomo", remedy, "does not answer: %v", err)}
	}
	_ = response.Body.Close() // the status is all that is read
	switch status := response.StatusCode; {
	case status == http.StatusUnauthorized || status == http.StatusForbidden || status == http.StatusTooManyRequests:
		return []finding{ok("vomo", "answers (%s without a token, as it should)", response.Status)}
	case status >= http.StatusInternalServerError:
		return []finding{warning("vomo", "Wait, and look at VOMO's own status: work goes on by itself when it answers again.", "answers %s", response.Status)}
	}
	return []finding{warning("vomo", "Check VOMO_BASE_URL: VOMO refuses a request without a token.", "answers %s to a request without a token", response.Status)}
}
