// Package answer reads bounded JSON requests and writes JSON answers.
//
// It promises that an answer is complete before its first byte leaves, so that it has a Content-Length. It does not know
// the error bodies of VOMO and the CRM: each passes its own.
package answer

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
)

// MaxBody is the largest request body that is read, in bytes.
const MaxBody = 1 << 20

// ErrTooLarge is returned for a request above MaxBody, or above the limit of BodyUpTo.
var ErrTooLarge = errors.New("request body is too large")

// JSON writes a status and a body. A closed connection is no error.
func JSON(w http.ResponseWriter, status int, body any) {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(body); err != nil {
		status = http.StatusInternalServerError
		out.Reset()
		out.WriteString(`{"message":"Server Error"}`)
	}
	Raw(w, status, out.Bytes())
}

// Raw writes bytes with the content type of JSON. They need not be JSON.
func Raw(w http.ResponseWriter, status int, body []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body) // the client may have closed the connection
}

// Body reads a request's body. Errors: ErrTooLarge above MaxBody.
func Body(w http.ResponseWriter, r *http.Request) ([]byte, error) { return BodyUpTo(w, r, MaxBody) }

// BodyUpTo reads a request's body. Errors: ErrTooLarge above so many bytes.
func BodyUpTo(w http.ResponseWriter, r *http.Request, most int64) ([]byte, error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, most))
	if err != nil {
		if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
			return nil, ErrTooLarge
		}
		return nil, fmt.Errorf("read request body: %w", err)
	}
	return body, nil
}

// Decode reads a request's body as one JSON document and rejects unknown fields, so that a misspelt setting is noticed.
// An empty body changes nothing. Errors: ErrTooLarge above MaxBody.
func Decode(w http.ResponseWriter, r *http.Request, into any) error {
	body, err := Body(w, r)
	if err != nil {
		return err
	}
	if len(bytes.TrimSpace(body)) == 0 {
		return nil
	}
	return Strict(body, into)
}

// Strict decodes one JSON document. Unknown fields, and anything after the document, are errors.
func Strict(body []byte, into any) error {
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		return fmt.Errorf("decode JSON: %w", err)
	}
	if decoder.More() {
		return errors.New("decode JSON: more than one document")
	}
	return nil
}
