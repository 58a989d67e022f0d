package config

import (
	"errors"
	"net/url"
	"strings"
)

// checkConsole checks the settings of the console together.
func (c Config) checkConsole() []error {
	var problems []error
	public, isURL := webURL(c.ConsolePublicURL)
	if c.ConsolePublicURL != "" && (!isURL || !isOrigin(public)) {
		problems = append(problems, errors.New("CONSOLE_PUBLIC_URL must be http or https, a host and nothing else, such as https://rollcall.example.org"))
	}
	if _, err := c.FrameAncestors(); err != nil {
		problems = append(problems, err)
	}
	if c.ConsoleFrameAncestors != "" && (!isURL || public.Scheme != "https") {
		problems = append(problems, errors.New("CONSOLE_FRAME_ANCESTORS needs a CONSOLE_PUBLIC_URL with https: browsers keep no cookie in a frame otherwise"))
	}
	if c.OIDCIssuer == "" {
		return problems
	}
	if issuer, ok := webURL(c.OIDCIssuer); !ok || issuer.User != nil || issuer.RawQuery != "" || issuer.Fragment != "" {
		problems = append(problems, errors.New("OIDC_ISSUER must be an absolute http or https URL without a password, query or fragment"))
	}
	if c.OIDCClientID == "" || c.ConsolePublicURL == "" {
		problems = append(problems, errors.New("OIDC_ISSUER needs OIDC_CLIENT_ID and CONSOLE_PUBLIC_URL"))
	}
	return problems
}

// isOrigin reports whether a URL has a scheme and a host, and nothing else.
func isOrigin(of *url.URL) bool {
	return of.User == nil && strings.TrimSuffix(of.Path, "/") == "" && of.RawQuery == "" && of.Fragment == ""
}

// FrameAncestors returns the origins of CONSOLE_FRAME_ANCESTORS.
func (c Config) FrameAncestors() ([]string, error) {
	var origins []string
	for _, text := range List(c.ConsoleFrameAncestors) {
		origin, ok := webURL(text)
		if !ok || !isOrigin(origin) || strings.ContainsAny(origin.Host, " ;,'\"*") {
			return nil, errors.New("CONSOLE_FRAME_ANCESTORS must be origins such as https://app.example.org, comma-separated")
		}
		origins = append(origins, origin.Scheme+"://"+origin.Host)
	}
	return origins, nil
}

// ConsoleURL returns CONSOLE_PUBLIC_URL without a slash at its end.
func (c Config) ConsoleURL() string { return strings.TrimSuffix(c.ConsolePublicURL, "/") }

// List returns the entries of a comma-separated setting, without empty ones.
func List(setting string) []string {
	var entries []string
	for entry := range strings.SplitSeq(setting, ",") {
		if entry = strings.TrimSpace(entry); entry != "" {
			entries = append(entries, entry)
		}
	}
	return entries
}
