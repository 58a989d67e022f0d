package virtuous

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"html"
	"net/http"
	"strconv"

	"rollcall.dev/services/sandbox/internal/answer"
	"rollcall.dev/services/sandbox/internal/faults"
	"rollcall.dev/services/sandbox/internal/gifts"
)

// refusal is an error before it has a form.
type refusal struct {
	status   int
	code     string
	message  string
	problems []gifts.Problem
	shape    string // "": the organisation's, or the usual one of the status
}

// Refuse writes the error of a fault.
func Refuse(w http.ResponseWriter, rule faults.Rule) {
	refusal{status: rule.Status, code: rule.Code, shape: rule.Shape}.write(w)
}

func (c *call) refuse(r refusal) {
	if c.is.Settings.Errors != "usual" {
		r.shape = cmp.Or(r.shape, c.is.Settings.Errors)
	}
	r.write(c.w)
}

func (c *call) notFound(what string) {
	c.refuse(refusal{status: http.StatusNotFound, code: "NotFound", message: what + " could not be found"})
}

func (c *call) invalid(field, code, why string) {
	c.refuse(refusal{status: http.StatusBadRequest, problems: []gifts.Problem{{Field: field, Code: code, Text: why}}})
}

func (r refusal) write(w http.ResponseWriter) {
	refusal{
		status: r.status, code: cmp.Or(r.code, usualCode(r.status)), message: cmp.Or(r.message, usualMessage(r.status)), problems: r.problems,
		shape: cmp.Or(r.shape, usualShape(r.status)),
	}.writeComplete(w)
}

// writeComplete writes a refusal in which no field is missing.
func (r refusal) writeComplete(w http.ResponseWriter) {
	switch r.shape {
	case "documented":
		details := []map[string]string{}
		for _, p := range r.problems {
			details = append(details, map[string]string{"field": p.Field, "code": p.Code, "message": p.Text})
		}
		answer.JSON(w, r.status, map[string]any{"error": map[string]any{"code": r.code, "message": r.message, "details": details}})
	case "two_field":
		body := map[string]any{"error": r.code, "error_description": r.message}
		if len(r.problems) > 0 {
			body["errors"] = r.byField()
		}
		answer.JSON(w, r.status, body)
	case "model_state":
		answer.JSON(w, r.status, map[string]any{"message": cmp.Or(invalidMessage(r), r.message), "modelState": r.byField()})
	case "message":
		answer.JSON(w, r.status, map[string]string{"message": r.text()})
	case "text":
		raw(w, r.status, "text/plain; charset=utf-8", []byte(r.text()))
	case "html":
		w.Header().Set("Server", "cloudflare")
		title := html.EscapeString(fmt.Sprintf("%d: Web server is returning an unknown error", r.status))
		raw(w, r.status, "text/html; charset=UTF-8", fmt.Appendf(nil,
			"<!DOCTYPE html><html><head><title>%s</title></head><body>error code: %d</body></html>", title, r.status))
	default: // empty
		raw(w, r.status, "", nil)
	}
}

// text returns what the refusal says in one sentence.
func (r refusal) text() string {
	if len(r.problems) > 0 {
		return r.problems[0].Text
	}
	return r.message
}

func (r refusal) byField() map[string][]string {
	fields := map[string][]string{}
	for _, p := range r.problems {
		fields[p.Field] = append(fields[p.Field], p.Text)
	}
	return fields
}

func invalidMessage(r refusal) string {
	if len(r.problems) > 0 {
		return "The request is invalid."
	}
	return ""
}

func usualShape(status int) string {
	switch status {
	case http.StatusUnauthorized:
		return "text"
	case http.StatusNotFound:
		return "two_field"
	case http.StatusBadRequest:
		return "model_state"
	case http.StatusConflict, http.StatusUnprocessableEntity, http.StatusTooManyRequests:
		return "documented"
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout, 520:
		return "html"
	}
	return "message"
}

func usualMessage(status int) string {
	switch {
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		return "Authorization has been denied for this request."
	case status == http.StatusTooManyRequests:
		return "You have exceeded the request rate limit."
	case status >= http.StatusInternalServerError:
		return "An error has occurred."
	}
	return "The request is invalid."
}

func usualCode(status int) string {
	switch status {
	case http.StatusUnauthorized:
		return "UNAUTHORIZED"
	case http.StatusForbidden:
		return "FORBIDDEN"
	case http.StatusNotFound:
		return "NOT_FOUND"
	case http.StatusConflict:
		return "CONFLICT"
	case http.StatusTooManyRequests:
		return "RATE_LIMITED"
	case http.StatusBadRequest, http.StatusUnprocessableEntity:
		return "VALIDATION_FAILED"
	}
	return "ERROR_" + strconv.Itoa(status)
}

func raw(w http.ResponseWriter, status int, contentType string, body []byte) {
	if contentType != "" {
		w.Header().Set("Content-Type", contentType)
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body) // the client may have closed the connection
}

// text is a JSON text or number, or null. Clients send ids and amounts in all these forms.
type text string

// UnmarshalJSON reads each form.
func (t *text) UnmarshalJSON(source []byte) error {
	switch {
	case bytes.Equal(source, []byte("null")):
	case len(source) > 0 && source[0] == '"':
		var plain string
		if err := json.Unmarshal(source, &plain); err != nil {
			return fmt.Errorf("decode text: %w", err)
		}
		*t = text(plain)
	default:
		*t = text(source)
	}
	return nil
}

// decode reads JSON as ASP.NET does: the letter case of names does not matter, and unknown names are ignored.
func decode(body []byte, into any) error {
	if err := json.Unmarshal(body, into); err != nil {
		return fmt.Errorf("decode JSON: %w", err)
	}
	return nil
}
